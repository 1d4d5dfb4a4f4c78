package dpo

import (
	"dpolab/kernels/dtype"
	"dpolab/runtime/generate"
)

// GenerationConfig are the sampling settings, named as in transformers.
type GenerationConfig = generate.Config

// DefaultGenerationConfig samples up to 128 new tokens from the whole
// distribution.
func DefaultGenerationConfig() GenerationConfig { return generate.DefaultConfig() }

// Greedy takes the likeliest token each time, up to n of them.
func Greedy(n int) GenerationConfig {
	c := generate.DefaultConfig()
	c.DoSample, c.MaxNewTokens = false, n
	return c
}

// Generate continues each prompt and returns the continuations. Without an EOS
// in cfg (-1, the default) the tokenizer's end of text ends a continuation.
func Generate(m *Model, prompts []string, cfg GenerationConfig) []string {
	const op = "Generate"
	replicas := m.use(op)
	tok := m.Tokenizer()
	if cfg.EOS < 0 {
		cfg.EOS = tok.tok.EOS()
	}
	ids := make([][]int32, len(prompts))
	for i, p := range prompts {
		if ids[i] = tok.Encode(p); len(ids[i]) == 0 {
			refuse(op, "prompts with at least one token", "prompt %d: %q", i, p)
		}
	}
	out, err := replicas.Generate(Context(), ids, cfg)
	check(op, err)
	texts := make([]string, len(out))
	for i, o := range out {
		texts[i] = tok.Decode(o)
	}
	return texts
}

// Save writes the model and its tokenizer to dir, as transformers loads them,
// in the master weights' type. dir appears when it is complete.
func Save(m *Model, dir string) {
	if dir == "" {
		refuse("Save", "a directory", "an empty path")
	}
	check("Save", m.use("Save").Save(dir, m.master, m.Tokenizer().tok))
}

// SaveAs is Save in another type: BFloat16 halves the files.
func SaveAs(m *Model, dir string, dt DType) {
	if dt == dtype.Invalid || !dt.IsFloat() {
		refuse("SaveAs", "a floating type", "%s", dt)
	}
	check("SaveAs", m.use("SaveAs").Save(dir, dt, m.Tokenizer().tok))
}
