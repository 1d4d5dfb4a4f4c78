package dpo_test

import (
	"regexp"
	"strings"
	"testing"

	"dpolab/stdlib/display"
	"dpolab/stdlib/dpo"
)

// TestRichValues: every kind of value shows what a reader looks for, as text
// too, without scripts or anything fetched from elsewhere.
func TestRichValues(t *testing.T) {
	policy := wrapped(t)
	reference := policy.Copy()
	defer reference.Close()
	tr := dpo.NewTrainer(policy, reference, demo.Train, nil, config())
	defer tr.Close()
	tr.Steps(3)
	batch := demo.Test.Slice(0, 1).Tokenize(policy.Tokenizer(), 128)
	logps := tr.Forward(batch)
	defer tr.ZeroGrad()
	for name, c := range map[string]struct {
		value any
		html  string
	}{
		"model":       {policy, `(?s)FULL_SHARD over cpu:2.*q_proj.weight</td>.*>192×192<.*>4<.*>147 456<.*>73 728<.*>float32<`},
		"not placed":  {demo.Model(), `(?s)not on a device yet.*embed_tokens.weight.*>–<`},
		"tensor":      {logps.PolicyChosen, `(?s)tensor \[2\]</b> float32 on cpu:0, 8 bytes, requires a gradient.*mean -\d.*<td align="right"`},
		"batch":       {batch, `(?s)2 pairs.*prompt<br>\d+ tokens.*rgba\(128,128,128.*chosen<br>.*rgba\(0,114,178.*rejected<br>.*rgba\(213,94,0.*&lt;\|endoftext\|&gt;`},
		"pair":        {batch.Pair(0), `(?s)prompt</th>.*Human: .*chosen</th>.*rejected</th>`},
		"preferences": {demo.Test, `(?s)pairs of .*prompts.*rejected</th>`},
		"history":     {tr.History(), `(?s)3 steps, 0 evaluations.*loss/train</td>.*>0.6931<.*█▅?`},
		"metrics":     {tr.Last(), `(?s)loss/train</td>.*rewards_train/margins</td>`},
		"memory":      {dpo.Memory(), `(?s)cpu:2 rank 1</td>.* MB<.*█`},
		"tokens":      {dpo.TokenRewards(0.1, policy, reference, batch), `(?s)implicit reward, β = 0.1.*chosen<br>[+-]\d\.\d+.*title="[+-]0\.\d+".*strongest: &#34;`},
		"comparison":  {dpo.CompareRuns([]string{"a", "b"}, []*dpo.History{tr.History(), tr.History()}), `(?s)>a<.*>3<.*>0.6931<.*>b<.*>0.0e\+00<`},
	} {
		bundle := display.Of(c.value)
		page := bundle["text/html"]
		if !regexp.MustCompile(c.html).MatchString(page) {
			t.Errorf("%s: %s does not match %s", name, page, c.html)
		}
		if bundle["text/plain"] == "" || strings.Contains(bundle["text/plain"], "<td") {
			t.Errorf("%s: text %q", name, bundle["text/plain"])
		}
		if regexp.MustCompile(`(?i)<script|https?:|\son\w+=`).MatchString(page) {
			t.Errorf("%s runs or fetches something", name)
		}
	}
	if got := raised(t, func() { dpo.CompareRuns([]string{"a"}, nil) }); got.Error() != "dpo.CompareRuns: want a name for each of at least one run, got 1 names, 0 runs" {
		t.Error(got)
	}
}
