package train

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"dpolab/runtime/fsdp"
	"dpolab/runtime/generate"
)

// Sample is one prompt with what policy and reference make of it.
type Sample struct {
	Examples  int    `json:"examples"` // training pairs seen
	Prompt    string `json:"prompt"`
	Policy    string `json:"policy"`
	Reference string `json:"reference,omitempty"`
}

// shown is how many samples are written to the log.
const shown = 10

// sampleTexts samples continuations of the first evaluation prompts from the
// policy and, but for SFT, the reference. They are logged and, in a run
// directory, added to samples.jsonl.
func (t *Trainer) sampleTexts(ctx context.Context) error {
	var prompts [][]int32
	var list []Sample
	for _, e := range t.evals[:min(t.samples, len(t.evals))] {
		if len(e.Prompt) > 0 {
			prompts = append(prompts, e.Prompt)
			list = append(list, Sample{Examples: t.examples, Prompt: e.PromptText})
		}
	}
	if len(prompts) == 0 {
		return nil
	}
	policy, err := t.continuations(ctx, prompts, false)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].Policy = t.tokenizer.Decode(policy[i], true)
	}
	if !t.sft() {
		reference, err := t.continuations(ctx, prompts, true)
		if err != nil {
			return err
		}
		for i := range list {
			list[i].Reference = t.tokenizer.Decode(reference[i], true)
		}
	}
	text, err := json.MarshalIndent(list[:min(shown, len(list))], "", "  ")
	if err != nil {
		return err
	}
	t.log("%s", text)
	if t.settings.RunDir == "" || !t.world.Leads() {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(t.settings.RunDir, "samples.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	enc := json.NewEncoder(f)
	for _, s := range list {
		if err := enc.Encode(s); err != nil {
			f.Close()
			return fmt.Errorf("samples: %w", err)
		}
	}
	return f.Close()
}

// continuations samples on all ranks alike; rank 0's are returned.
func (t *Trainer) continuations(ctx context.Context, prompts [][]int32, reference bool) ([][]int32, error) {
	if reference {
		if err := t.loadReference(); err != nil {
			return nil, err
		}
	}
	c := generate.DefaultConfig()
	c.MaxLength, c.MaxNewTokens, c.EOS, c.Seed = t.settings.MaxLength, t.settings.MaxLength, t.tokenizer.EOS(), uint64(t.settings.Seed)+uint64(t.examples)
	m := t.policy
	if reference {
		m = t.reference
	}
	return m.Generate(ctx, prompts, c)
}

// whole runs fn with all parameters gathered.
func whole(m *fsdp.Model, fn func() error) error {
	m.Unshard()
	defer m.Reshard()
	return fn()
}
