package generate_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/generate"
	"dpolab/runtime/models"
	_ "dpolab/runtime/models/all"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

const goldens = "../models/testdata/"

var prompts = [][]int32{{3, 14, 15, 9, 26, 53, 5, 8, 9}, {2}, {7, 1, 8, 28, 18}}

func load(t *testing.T, name string) models.CausalLM {
	t.Helper()
	b, err := cpu.New(device.Device{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	m, err := models.Load(goldens+name, tensor.OpenOn(b), dtype.Float32)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func greedy(n int) generate.Config {
	c := generate.DefaultConfig()
	c.DoSample, c.MaxNewTokens = false, n
	return c
}

func run(t *testing.T, m models.CausalLM, prompts [][]int32, c generate.Config) [][]int32 {
	t.Helper()
	out, err := generate.Generate(context.Background(), m, prompts, c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// recompute continues a prompt greedily from full forward passes.
func recompute(m models.CausalLM, prompt []int32, n int) []int32 {
	all := append([]int32(nil), prompt...)
	for range n {
		scores := m.Logits(models.Pack([][]int32{all}), []int32{int32(len(all) - 1)}).Float32s()
		best := 0
		for i, s := range scores {
			if s > scores[best] {
				best = i
			}
		}
		all = append(all, int32(best))
	}
	return all[len(prompt):]
}

func TestCachedEqualsRecomputed(t *testing.T) {
	for _, name := range []string{"gpt2", "gptneox", "gptneox-serial", "llama", "llama-tied", "llama3"} {
		m := load(t, name)
		live := m.Device().MemoryStats().LiveBytes
		out := run(t, m, prompts, greedy(20))
		if now := m.Device().MemoryStats().LiveBytes; now != live {
			t.Errorf("%s: generation leaves %d bytes allocated", name, now-live)
		}
		for i, p := range prompts {
			if want := recompute(m, p, 20); !slices.Equal(out[i], want) {
				t.Errorf("%s: prompt %d continues as %v, from full passes as %v", name, i, out[i], want)
			}
		}
	}
}

// TestCachedScores compares the scores themselves, prompts fed in pieces.
func TestCachedScores(t *testing.T) {
	for _, name := range []string{"gpt2", "gptneox", "llama"} {
		m := load(t, name)
		cache := models.NewCache(2, 12)
		a, b := prompts[0], prompts[2]
		m.LogitsCached(cache, [][]int32{a[:4], b[:1]})
		m.LogitsCached(cache, [][]int32{nil, b[1:3]})
		got := m.LogitsCached(cache, [][]int32{a[4:], b[3:]}).Float32s()
		want := m.Logits(models.Pack([][]int32{a, b}), []int32{int32(len(a) - 1), int32(len(a) + len(b) - 1)}).Float32s()
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-5 {
				t.Fatalf("%s: score %d is %g from the cache, want %g", name, i, got[i], want[i])
			}
		}
		if cache.Length(0) != len(a) || cache.Length(1) != len(b) {
			t.Errorf("%s: cache holds %d and %d tokens", name, cache.Length(0), cache.Length(1))
		}
		hidden := m.HiddenCached(cache, [][]int32{{1}, {2, 3}})
		if hidden.Dim(0) != 3 || hidden.Dim(1) != m.Config().HiddenSize || hidden.RequiresGrad() {
			t.Errorf("%s: hidden states of shape %v, gradient %v", name, hidden.Shape(), hidden.RequiresGrad())
		}
	}
}

func TestLimits(t *testing.T) {
	m := load(t, "llama")
	free := run(t, m, prompts, greedy(20))
	c := greedy(20)
	c.MaxLength = 9
	out := run(t, m, prompts, c)
	for i, n := range []int{0, 8, 4} { // the first prompt is that long already
		if !slices.Equal(out[i], free[i][:n]) {
			t.Errorf("max_length 9: prompt %d continues as %v, want %v", i, out[i], free[i][:n])
		}
	}
	c = greedy(20)
	c.EOS = free[0][3]
	out = run(t, m, prompts, c)
	for i := range prompts {
		want := free[i]
		if at := slices.Index(want, c.EOS); at >= 0 {
			want = want[:at+1]
		}
		if !slices.Equal(out[i], want) {
			t.Errorf("EOS %d: prompt %d continues as %v, want %v", c.EOS, i, out[i], want)
		}
	}
	long := make([]int32, m.Config().MaxPositions-2)
	if out := run(t, m, [][]int32{long}, greedy(20)); len(out[0]) != 2 {
		t.Errorf("%d tokens fit behind a prompt that leaves room for 2", len(out[0]))
	}
	if out := run(t, m, nil, greedy(3)); len(out) != 0 {
		t.Errorf("no prompts give %v", out)
	}
}

func TestSamplingDoesNotDependOnTheBatch(t *testing.T) {
	m := load(t, "gptneox")
	c := generate.DefaultConfig()
	c.MaxNewTokens, c.Seed = 12, 5
	together := run(t, m, prompts, c)
	reversed := run(t, m, [][]int32{prompts[2], prompts[1], prompts[0]}, c)
	for i, p := range prompts {
		if alone := run(t, m, [][]int32{p}, c)[0]; !slices.Equal(alone, together[i]) || !slices.Equal(alone, reversed[2-i]) {
			t.Errorf("prompt %d continues as %v alone, %v in company, %v in another order", i, alone, together[i], reversed[2-i])
		}
	}
	twice := run(t, m, [][]int32{prompts[0], prompts[0]}, c)
	if !slices.Equal(twice[0], together[0]) || slices.Equal(twice[0], twice[1]) {
		t.Errorf("a prompt given twice continues as %v and %v, alone as %v", twice[0], twice[1], together[0])
	}
	c.Seed = 6
	if other := run(t, m, prompts, c); slices.Equal(other[0], together[0]) {
		t.Error("another seed gives the same continuation")
	}
}

// TestSampledFrequencies draws the token after one prompt many times and
// compares with the distribution that the settings describe.
func TestSampledFrequencies(t *testing.T) {
	m := load(t, "gpt2")
	prompt := prompts[1]
	scores := m.Logits(models.Pack([][]int32{prompt}), nil).Float64s()
	many := make([][]int32, 4000)
	for i := range many {
		many[i] = prompt
	}
	cases := map[string]func(c *generate.Config){
		"all":         func(c *generate.Config) {},
		"hot":         func(c *generate.Config) { c.Temperature = 2 },
		"top_k":       func(c *generate.Config) { c.TopK = 4 },
		"top_p":       func(c *generate.Config) { c.TopP = 0.7 },
		"top_k of it": func(c *generate.Config) { c.TopK, c.TopP, c.Temperature = 10, 0.5, 1.5 },
	}
	for name, set := range cases {
		c := generate.DefaultConfig()
		c.MaxNewTokens = 1
		set(&c)
		want := distribution(scores, c)
		counts := make([]float64, len(scores))
		for _, o := range run(t, m, many, c) {
			counts[o[0]] += 1 / float64(len(many))
		}
		for id, p := range want {
			if p == 0 && counts[id] > 0 {
				t.Errorf("%s: token %d is drawn though it is cut off", name, id)
			}
			// Five standard deviations of a frequency.
			if d := math.Abs(counts[id] - p); d > 5*math.Sqrt(p*(1-p)/float64(len(many)))+1e-3 {
				t.Errorf("%s: token %d comes with frequency %.4f, want %.4f", name, id, counts[id], p)
			}
		}
	}
}

// distribution is what a configuration should sample from, by removing the
// least likely token again and again.
func distribution(scores []float64, c generate.Config) []float64 {
	p := make([]float64, len(scores))
	for i, s := range scores {
		p[i] = math.Exp(s / c.Temperature)
	}
	total := func() (sum float64, n int) {
		for _, v := range p {
			if sum += v; v > 0 {
				n++
			}
		}
		return sum, n
	}
	least := func() int {
		at := -1
		for i, v := range p {
			if v > 0 && (at < 0 || v < p[at]) {
				at = i
			}
		}
		return at
	}
	for c.TopK > 0 {
		if _, n := total(); n <= c.TopK {
			break
		}
		p[least()] = 0
	}
	before, _ := total()
	for {
		sum, n := total()
		if i := least(); n > 1 && sum-p[i] >= c.TopP*before {
			p[i] = 0
			continue
		}
		for i := range p {
			p[i] /= sum
		}
		return p
	}
}

func TestCancel(t *testing.T) {
	m := load(t, "llama")
	ctx, cancel := context.WithCancel(context.Background())
	c := greedy(20)
	steps := 0
	c.Agree = func(stop bool) bool {
		if steps++; steps == 4 {
			cancel()
		}
		return stop
	}
	out, err := generate.Generate(ctx, m, prompts, c)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	if want := run(t, m, prompts, greedy(4)); !slices.Equal(out[0], want[0]) {
		t.Errorf("tokens so far %v, want %v", out[0], want[0])
	}
	c.Agree = nil
	if out, err := generate.Generate(ctx, m, prompts, c); !errors.Is(err, context.Canceled) || len(out[0]) != 0 {
		t.Errorf("after the context's end: %v, %v", out, err)
	}
}

func TestBadSettings(t *testing.T) {
	m := load(t, "llama")
	long := make([]int32, m.Config().MaxPositions+1)
	cases := []struct {
		want    string
		prompts [][]int32
		set     func(c *generate.Config)
	}{
		{"max_new_tokens", prompts, func(c *generate.Config) { c.MaxNewTokens = 0 }},
		{"max_length", prompts, func(c *generate.Config) { c.MaxLength = -1 }},
		{"temperature", prompts, func(c *generate.Config) { c.Temperature = 0 }},
		{"temperature", prompts, func(c *generate.Config) { c.Temperature = math.NaN() }},
		{"top_k", prompts, func(c *generate.Config) { c.TopK = -1 }},
		{"top_p", prompts, func(c *generate.Config) { c.TopP = 0 }},
		{"top_p", prompts, func(c *generate.Config) { c.TopP = 1.5 }},
		{"prompt 1 is empty", [][]int32{{1}, {}}, func(c *generate.Config) {}},
		{"has 65 tokens, the model takes 64", [][]int32{long}, func(c *generate.Config) {}},
		{"prompt 0: want token ids below the vocabulary's 61, got 61", [][]int32{{61}}, func(c *generate.Config) {}},
	}
	for _, k := range cases {
		c := generate.DefaultConfig()
		k.set(&c)
		if _, err := generate.Generate(context.Background(), m, k.prompts, c); err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("error %v, want one with %q", err, k.want)
		}
	}
}

func TestNonFiniteScoresAreAnError(t *testing.T) {
	m := load(t, "gpt2")
	for _, p := range nn.Parameters(m) {
		m.Device().NoGrad(func() { p.Value.Fill(math.NaN()) })
	}
	for _, sample := range []bool{false, true} {
		c := greedy(3)
		c.DoSample = sample
		if _, err := generate.Generate(context.Background(), m, prompts, c); err == nil || !strings.Contains(err.Error(), "prompt 0, token 0") {
			t.Errorf("error %v, want one that says where", err)
		}
	}
}

// TestSharded generates on a model sharded over ranks, with the parameters
// gathered block by block and with all gathered first, and stops the ranks
// together although only one of their contexts ends.
func TestSharded(t *testing.T) {
	whole := load(t, "llama")
	c := generate.DefaultConfig()
	c.MaxNewTokens = 8
	want := run(t, whole, prompts, c)
	world, err := distributed.NewWorld([]device.Device{{Type: device.CPU}, {Type: device.CPU, Index: 1}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	var partial [2]atomic.Int64
	err = world.Run(func(r *distributed.Rank) error {
		ckpt, err := models.Open(goldens + "llama")
		if err != nil {
			return err
		}
		defer ckpt.Close()
		m, err := ckpt.Build()
		if err != nil {
			return err
		}
		sharded, err := fsdp.FullyShard(m, r, fsdp.Config{BlockName: "LlamaDecoderLayer"})
		if err != nil {
			return err
		}
		if err := ckpt.LoadInto(m, r.Dev); err != nil {
			return err
		}
		for range 2 {
			out, err := generate.Generate(context.Background(), m, prompts, c)
			if err != nil {
				return err
			}
			for i := range want {
				if !slices.Equal(out[i], want[i]) {
					t.Errorf("rank %d continues prompt %d as %v, want %v", r.Rank, i, out[i], want[i])
				}
			}
			sharded.Unshard()
		}
		sharded.Reshard()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		steps := 0
		stopping := c
		stopping.Agree = func(stop bool) bool {
			if steps++; steps == 3 && r.Rank == 1 {
				stop = true
				cancel()
			}
			votes := []float64{0}
			if stop {
				votes[0] = 1
			}
			r.Group.SumHost(votes)
			return votes[0] > 0
		}
		out, err := generate.Generate(ctx, m, prompts, stopping)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("rank %d: error %v, want context.Canceled", r.Rank, err)
		}
		partial[r.Rank].Store(int64(len(out[0])))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if partial[0].Load() != 2 || partial[1].Load() != 2 {
		t.Errorf("ranks stopped after %d and %d tokens, want 2", partial[0].Load(), partial[1].Load())
	}
}
