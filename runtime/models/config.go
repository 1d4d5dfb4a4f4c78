package models

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"

	"dpolab/kernels/dtype"
)

// Config is what all architectures have in common.
type Config struct {
	Architecture      string // class in transformers: "LlamaForCausalLM"
	ModelType         string // "llama"
	VocabSize         int
	HiddenSize        int
	NumLayers         int
	NumHeads          int
	NumKVHeads        int
	HeadDim           int
	MaxPositions      int
	TieWordEmbeddings bool
	InitializerRange  float64
	BlockName         string // class of the repeated block: "LlamaDecoderLayer"
	Raw               RawConfig
}

// RawConfig is a config.json as it was read. Keys that no architecture here
// knows stay in it and are written back.
type RawConfig struct {
	keys       map[string]json.RawMessage
	generation []byte // generation_config.json, nil if there was none
	source     string // for errors
}

// ParseConfig reads the text of a config.json. source names it in errors.
func ParseConfig(data []byte, source string) (RawConfig, error) {
	c := RawConfig{source: source}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&c.keys); err != nil {
		return c, fmt.Errorf("models: %s: want a JSON object: %w", source, err)
	}
	if dec.More() {
		return c, fmt.Errorf("models: %s: want one JSON object, got more text after it", source)
	}
	if c.keys == nil {
		return c, fmt.Errorf("models: %s: want a JSON object, got null", source)
	}
	return c, nil
}

// ReadConfig reads config.json, and generation_config.json if it is there,
// from a model directory.
func ReadConfig(dir string) (RawConfig, error) {
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return RawConfig{}, fmt.Errorf("models: %s is not a model directory: %w", dir, err)
	}
	c, err := ParseConfig(data, path)
	if err != nil {
		return c, err
	}
	c.generation, err = os.ReadFile(filepath.Join(dir, "generation_config.json"))
	if err != nil && !os.IsNotExist(err) {
		return c, fmt.Errorf("models: %w", err)
	}
	return c, nil
}

// DType returns the type that the weights were saved in according to the
// configuration, float32 if it does not say.
func (c RawConfig) DType() (dtype.DType, error) {
	r := c.Reader()
	name := r.StringOr("dtype", r.StringOr("torch_dtype", "float32"))
	if err := r.Err(); err != nil {
		return dtype.Invalid, err
	}
	dt, err := dtype.Parse(name)
	if err != nil {
		return dt, fmt.Errorf("models: %s: %w", c.source, err)
	}
	return dt, nil
}

// text returns the configuration as JSON for weights saved in dt.
func (c RawConfig) text(dt dtype.DType) ([]byte, error) {
	keys := maps.Clone(c.keys)
	name, err := json.Marshal(dt.String())
	if err != nil {
		return nil, err
	}
	key := "torch_dtype" // older transformers know only this one, newer ones both
	if _, ok := keys["dtype"]; ok {
		key = "dtype"
		delete(keys, "torch_dtype")
	}
	keys[key] = name
	out, err := json.MarshalIndent(keys, "", "  ")
	return append(out, '\n'), err
}

// Reader reads typed values from a configuration. Values of a wrong type and
// missing keys are remembered; Err reports the first. A key that is null
// counts as absent, as transformers has it.
type Reader struct {
	keys   map[string]json.RawMessage
	source string
	err    error
}

// Reader returns a Reader of c.
func (c RawConfig) Reader() *Reader { return &Reader{keys: c.keys, source: c.source} }

// Err returns what went wrong first.
func (r *Reader) Err() error { return r.err }

// Fail remembers an error about key, unless there is one already.
func (r *Reader) Fail(key, want, got string) {
	if r.err == nil {
		r.err = fmt.Errorf("models: %s: %s: want %s, got %s", r.source, key, want, got)
	}
}

// Has reports whether key is there and not null.
func (r *Reader) Has(key string) bool {
	raw, ok := r.keys[key]
	return ok && string(raw) != "null"
}

// need is Has that remembers a missing key.
func (r *Reader) need(key string) bool {
	if !r.Has(key) {
		if r.err == nil {
			r.err = fmt.Errorf("models: %s: the key %q is missing", r.source, key)
		}
		return false
	}
	return true
}

func (r *Reader) decode(key, want string, into any) bool {
	if err := json.Unmarshal(r.keys[key], into); err != nil {
		r.Fail(key, want, string(r.keys[key]))
		return false
	}
	return true
}

// Int returns a whole number above 0 that must be there.
func (r *Reader) Int(key string) int {
	if !r.need(key) {
		return 0
	}
	return r.IntOr(key, 0)
}

// IntOr returns a whole number above 0, or def if the key is absent.
func (r *Reader) IntOr(key string, def int) int {
	if !r.Has(key) {
		return def
	}
	var v float64
	if !r.decode(key, "a whole number above 0", &v) {
		return def
	}
	if v != math.Trunc(v) || v < 1 || v > math.MaxInt32 {
		r.Fail(key, "a whole number above 0", string(r.keys[key]))
		return def
	}
	return int(v)
}

// FloatOr returns a number, or def if the key is absent.
func (r *Reader) FloatOr(key string, def float64) float64 {
	if r.Has(key) {
		r.decode(key, "a number", &def)
	}
	return def
}

// BoolOr returns true or false, or def if the key is absent.
func (r *Reader) BoolOr(key string, def bool) bool {
	if r.Has(key) {
		r.decode(key, "true or false", &def)
	}
	return def
}

// String returns a text that must be there.
func (r *Reader) String(key string) string {
	if !r.need(key) {
		return ""
	}
	return r.StringOr(key, "")
}

// StringOr returns a text, or def if the key is absent.
func (r *Reader) StringOr(key, def string) string {
	if r.Has(key) {
		r.decode(key, "a text", &def)
	}
	return def
}

// Object returns a Reader of a nested object, nil if the key is absent.
func (r *Reader) Object(key string) *Reader {
	if !r.Has(key) {
		return nil
	}
	sub := &Reader{source: r.source + ": " + key}
	if !r.decode(key, "an object", &sub.keys) {
		return nil
	}
	return sub
}

// Reject remembers an error if key is there and neither null nor false: it is
// for settings that change what a model computes and are not supported.
func (r *Reader) Reject(key string) {
	if r.Has(key) && string(r.keys[key]) != "false" {
		r.Fail(key, "it absent, since it is not supported", string(r.keys[key]))
	}
}
