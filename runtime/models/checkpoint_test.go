package models_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dpolab/kernels/dtype"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/safetensors"
)

// draft is a checkpoint in memory, to be spoilt and written.
type draft struct {
	config  map[string]any
	tensors map[string]*stored
}

type stored struct {
	info safetensors.Info
	data []byte
}

// read returns a draft of a golden model.
func read(t *testing.T, name string) *draft {
	t.Helper()
	dir := filepath.Join("testdata", name)
	d := &draft{tensors: map[string]*stored{}}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d.config); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range f.Names() {
		info, data, err := f.Tensor(n)
		if err != nil {
			t.Fatal(err)
		}
		d.tensors[n] = &stored{info, append([]byte(nil), data...)}
	}
	return d
}

// write puts the draft into a new directory.
func (d *draft) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(d.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	var infos []safetensors.Info
	for n, s := range d.tensors {
		s.info.Name = n
		infos = append(infos, s.info)
	}
	err = safetensors.WriteDir(dir, nil, infos, 0, func(name string) ([]byte, error) { return d.tensors[name].data, nil })
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (d *draft) rename(old, new string) {
	d.tensors[new] = d.tensors[old]
	delete(d.tensors, old)
}

func (d *draft) add(name string, values ...float32) {
	s := &stored{info: safetensors.Info{DType: dtype.Float32, Shape: []int{len(values)}}}
	for _, v := range values {
		s.data = binary.LittleEndian.AppendUint32(s.data, math.Float32bits(v))
	}
	d.tensors[name] = s
}

const someWeight = "model.layers.1.mlp.up_proj.weight"

func TestBadCheckpoints(t *testing.T) {
	set := func(key string, value any) func(*draft) { return func(d *draft) { d.config[key] = value } }
	unset := func(key string) func(*draft) { return func(d *draft) { delete(d.config, key) } }
	cases := []struct {
		name, model string
		spoil       func(d *draft)
		want        []string
	}{
		{"missing tensor", "llama", func(d *draft) { delete(d.tensors, someWeight) }, []string{"lacks " + someWeight}},
		{"missing head", "llama", func(d *draft) { delete(d.tensors, "lm_head.weight") }, []string{"lacks lm_head.weight"}},
		{"missing block", "llama", set("num_hidden_layers", 3), []string{"lacks model.layers.2.input_layernorm.weight", "and 1 more"}},
		{"unexpected tensor", "gpt2", func(d *draft) { d.add("v_head.weight", 1) }, []string{"unexpected v_head.weight"}},
		{"all that is wrong at once", "llama", func(d *draft) { d.rename(someWeight, "x"); d.config["vocab_size"] = 60 },
			[]string{"lacks " + someWeight, "unexpected x", "lm_head.weight of shape [61 24] where [60 24]"}},
		{"wrong shape", "gptneox", set("intermediate_size", 40), []string{"gpt_neox.layers.0.mlp.dense_h_to_4h.weight of shape [48 24] where [40 24]"}},
		{"whole numbers for weights", "llama", func(d *draft) { d.tensors[someWeight].info.DType = dtype.Int32 }, []string{someWeight, "type I32"}},
		{"NaN", "llama", func(d *draft) { copy(d.tensors[someWeight].data[4*5:], []byte{0, 0, 0xc0, 0x7f}) }, []string{someWeight, "element 5 is NaN"}},
		{"infinity in the last element", "gpt2-f16", func(d *draft) {
			w := d.tensors["transformer.ln_f.bias"].data
			copy(w[len(w)-2:], []byte{0, 0xfc})
		}, []string{"transformer.ln_f.bias", "element 23 is NaN or infinite"}},
		{"tied head that differs", "gpt2", func(d *draft) {
			s := *d.tensors["transformer.wte.weight"]
			s.data = append([]byte(nil), s.data...)
			s.data[0]++
			d.tensors["lm_head.weight"] = &s
		}, []string{"tie_word_embeddings is true", "lm_head.weight differs from transformer.wte.weight"}},

		{"no model_type", "llama", unset("model_type"), []string{`"model_type" is missing`}},
		{"unknown model_type", "llama", set("model_type", "mamba"), []string{`"mamba" is not supported`, "gpt2, gpt_neox, llama"}},
		{"missing key", "llama", unset("hidden_size"), []string{`"hidden_size" is missing`}},
		{"missing key", "gpt2", unset("n_layer"), []string{`"n_layer" is missing`}},
		{"missing key", "gptneox", unset("intermediate_size"), []string{`"intermediate_size" is missing`}},
		{"null key", "llama", set("vocab_size", nil), []string{`"vocab_size" is missing`}},
		{"text for a number", "llama", set("num_hidden_layers", "two"), []string{"num_hidden_layers: want a whole number above 0", `"two"`}},
		{"fraction for a count", "llama", set("hidden_size", 24.5), []string{"hidden_size: want a whole number"}},
		{"negative count", "gpt2", set("n_layer", -1), []string{"n_layer: want a whole number"}},
		{"number for a switch", "gptneox", set("use_parallel_residual", 1), []string{"use_parallel_residual: want true or false"}},
		{"heads that do not divide", "gpt2", set("n_head", 5), []string{"n_head: want a divisor of n_embd 24"}},
		{"groups that do not divide", "llama", set("num_key_value_heads", 3), []string{"num_key_value_heads: want a divisor of the 4"}},
		{"unknown activation", "gpt2", set("activation_function", "mish"), []string{"activation_function", `"mish"`, "gelu_new"}},
		{"unknown activation", "gptneox", set("hidden_act", "mish"), []string{"hidden_act", `"mish"`}},
		{"unknown activation", "llama", set("hidden_act", "gelu"), []string{"hidden_act: want silu"}},
		{"sliding window", "llama", set("sliding_window", 4096), []string{"sliding_window", "not supported", "4096"}},
		{"quantised", "llama", set("quantization_config", map[string]any{"bits": 4}), []string{"quantization_config", "not supported"}},
		{"cross attention", "gpt2", set("add_cross_attention", true), []string{"add_cross_attention", "not supported"}},
		{"yarn", "llama", set("rope_parameters", map[string]any{"rope_type": "yarn", "factor": 4}), []string{`"yarn" is not supported`}},
		{"yarn in the old form", "llama3-old-config", set("rope_scaling", map[string]any{"type": "yarn", "factor": 4}), []string{`"yarn" is not supported`}},
		{"llama3 without its band", "llama", set("rope_parameters", map[string]any{"rope_type": "llama3", "factor": 4}), []string{"low_freq_factor"}},
		{"rotary on part of a head", "llama", set("rope_parameters", map[string]any{"rope_type": "default", "partial_rotary_factor": 0.34}), []string{"partial_rotary_factor"}},
		{"rope that is no object", "llama", set("rope_parameters", 3), []string{"rope_parameters: want an object"}},
	}
	for _, c := range cases {
		dev := refDevice()
		d := read(t, c.model)
		c.spoil(d)
		_, err := models.Load(d.write(t), dev, dtype.Float32)
		checkError(t, c.name+" in "+c.model, err, c.want)
		if live := dev.MemoryStats().LiveBytes; live != 0 {
			t.Errorf("%s: %d bytes stay allocated after the error", c.name, live)
		}
	}
}

func checkError(t *testing.T, name string, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", name)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: error %q lacks %q", name, err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: error of several lines: %q", name, err)
	}
}

func TestBadFiles(t *testing.T) {
	dev := refDevice()
	overwrite := func(file, text string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644) }
	}
	cases := []struct {
		name  string
		spoil func(dir string) error
		want  []string
	}{
		{"truncated weights", func(dir string) error { return os.Truncate(filepath.Join(dir, "model.safetensors"), 20000) }, []string{"model.safetensors", "truncated"}},
		{"no weights", func(dir string) error { return os.Remove(filepath.Join(dir, "model.safetensors")) }, []string{"model.safetensors"}},
		{"no config", func(dir string) error { return os.Remove(filepath.Join(dir, "config.json")) }, []string{"not a model directory", "config.json"}},
		{"bad JSON", overwrite("config.json", `{"model_type": `), []string{"config.json", "want a JSON object"}},
		{"a list", overwrite("config.json", `[]`), []string{"config.json", "want a JSON object"}},
		{"null", overwrite("config.json", `null`), []string{"config.json", "want a JSON object"}},
		{"empty config", overwrite("config.json", ``), []string{"config.json", "want a JSON object"}},
		{"two objects", overwrite("config.json", `{} {}`), []string{"config.json", "one JSON object"}},
	}
	for _, c := range cases {
		dir := read(t, "llama").write(t)
		if err := c.spoil(dir); err != nil {
			t.Fatal(err)
		}
		_, err := models.Load(dir, dev, dtype.Float32)
		checkError(t, c.name, err, c.want)
	}
	_, err := models.Load(filepath.Join(t.TempDir(), "nowhere"), dev, dtype.Float32)
	checkError(t, "no directory", err, []string{"nowhere"})
}

// TestToleratedCheckpoints loads variants that transformers takes too, to the
// same weights.
func TestToleratedCheckpoints(t *testing.T) {
	cases := []struct {
		name, model string
		change      func(d *draft)
	}{
		{"bare base model", "gpt2", func(d *draft) { stripPrefix(d, "transformer.") }},
		{"bare base model", "llama-tied", func(d *draft) { stripPrefix(d, "model.") }},
		{"bare base model with a head", "gptneox", func(d *draft) { stripPrefix(d, "gpt_neox.") }},
		{"attention masks", "gpt2", func(d *draft) { d.add("transformer.h.0.attn.bias", 1, 1); d.add("h.1.attn.masked_bias", -1e4) }},
		{"masks and frequencies", "gptneox", func(d *draft) {
			d.add("gpt_neox.layers.0.attention.bias", 1)
			d.add("gpt_neox.layers.0.attention.masked_bias", 1)
			d.add("gpt_neox.layers.1.attention.rotary_emb.inv_freq", 1)
		}},
		{"frequencies", "llama", func(d *draft) { d.add("model.layers.0.self_attn.rotary_emb.inv_freq", 1) }},
		{"tied head stored all the same", "llama-tied", func(d *draft) { d.tensors["lm_head.weight"] = d.tensors["model.embed_tokens.weight"] }},
		{"float64 weights", "llama", func(d *draft) {
			for _, s := range d.tensors {
				var wide []byte
				for i := 0; i < len(s.data); i += 4 {
					v := math.Float32frombits(binary.LittleEndian.Uint32(s.data[i:]))
					wide = binary.LittleEndian.AppendUint64(wide, math.Float64bits(float64(v)))
				}
				s.data, s.info.DType = wide, dtype.Float64
			}
		}},
		{"configuration of older transformers", "gptneox", func(d *draft) {
			delete(d.config, "rope_parameters")
			d.config["rotary_pct"], d.config["rotary_emb_base"] = 0.25, 10000
		}},
	}
	for _, c := range cases {
		dev := cpuDevice(t)
		want := loadGolden(t, c.model, dev, dtype.Float32)
		d := read(t, c.model)
		c.change(d)
		got, err := models.Load(d.write(t), dev, dtype.Float32)
		if err != nil {
			t.Errorf("%s in %s: %v", c.name, c.model, err)
			continue
		}
		in := models.Pack(sequences)
		if worst(got.Logits(in, nil).Float32s(), want.Logits(in, nil).Float32s()) != 0 {
			t.Errorf("%s in %s: logits differ", c.name, c.model)
		}
	}
}

func stripPrefix(d *draft, prefix string) {
	for n := range d.tensors {
		if short, ok := strings.CutPrefix(n, prefix); ok {
			d.rename(n, short)
		}
	}
}

func TestAllowNonFinite(t *testing.T) {
	d := read(t, "llama")
	copy(d.tensors[someWeight].data[4*5:], []byte{0, 0, 0xc0, 0x7f})
	c, err := models.Open(d.write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Build()
	if err != nil {
		t.Fatal(err)
	}
	dev := refDevice()
	nn.Materialize(m, dev, dtype.Float32)
	c.AllowNonFinite = true
	if err := c.LoadInto(m, dev); err != nil {
		t.Fatal(err)
	}
	for _, np := range nn.NamedParameters(m) {
		if np.Name == someWeight && !math.IsNaN(np.Parameter.Value.Float64s()[5]) {
			t.Error("the NaN was not loaded")
		}
	}
}

// TestLoadTakesTheConfiguredType leaves the type to the configuration.
func TestLoadTakesTheConfiguredType(t *testing.T) {
	for name, want := range map[string]dtype.DType{"llama-bf16-shards": dtype.BFloat16, "gpt2-f16": dtype.Float16, "llama3-old-config": dtype.Float32} {
		m := loadGolden(t, name, refDevice(), dtype.Invalid)
		if got := nn.Parameters(m)[0].Value.DType(); got != want {
			t.Errorf("%s loads as %s, want %s", name, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	want := map[string]models.Config{
		"gpt2":       {Architecture: "GPT2LMHeadModel", ModelType: "gpt2", VocabSize: 61, HiddenSize: 24, NumLayers: 2, NumHeads: 3, NumKVHeads: 3, HeadDim: 8, MaxPositions: 64, TieWordEmbeddings: true, InitializerRange: 0.3, BlockName: "GPT2Block"},
		"gptneox":    {Architecture: "GPTNeoXForCausalLM", ModelType: "gpt_neox", VocabSize: 61, HiddenSize: 24, NumLayers: 2, NumHeads: 3, NumKVHeads: 3, HeadDim: 8, MaxPositions: 64, InitializerRange: 0.3, BlockName: "GPTNeoXLayer"},
		"llama-tied": {Architecture: "LlamaForCausalLM", ModelType: "llama", VocabSize: 61, HiddenSize: 24, NumLayers: 2, NumHeads: 4, NumKVHeads: 4, HeadDim: 8, MaxPositions: 64, TieWordEmbeddings: true, InitializerRange: 0.3, BlockName: "LlamaDecoderLayer"},
	}
	for name, w := range want {
		c, err := models.Open("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Build()
		if err != nil {
			t.Fatal(err)
		}
		got := m.Config()
		got.Raw = models.RawConfig{}
		if gotText, wantText := describe(got), describe(w); gotText != wantText {
			t.Errorf("%s: config\n%s, want\n%s", name, gotText, wantText)
		}
		c.Close()
	}
}

func describe(c models.Config) string {
	text, _ := json.Marshal(c)
	return string(text)
}
