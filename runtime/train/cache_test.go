package train

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	_ "dpolab/runtime/models/all"
)

var name = ReferenceName{Weights: "w", Tokenizer: "t", DType: "float16", Truncation: "512/256"}

func openCache(t *testing.T, root string, n ReferenceName) *ReferenceCache {
	t.Helper()
	c, err := OpenReferenceCache(root, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// response i of the cache's tests, and its log-probability.
func response(i int) (prompt, tokens []int32, logp float32) {
	return []int32{1, 2, int32(i / 2)}, []int32{int32(i), 7}, -0.5 - float32(i)
}

func put(t *testing.T, c *ReferenceCache, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		prompt, tokens, logp := response(i)
		if err := c.store([]cacheKey{keyOf(prompt, tokens)}, []float32{logp}); err != nil {
			t.Fatal(err)
		}
	}
}

// known counts the responses a cache knows, each of which must be right.
func known(t *testing.T, c *ReferenceCache, of int) (n int) {
	t.Helper()
	for i := range of {
		prompt, tokens, want := response(i)
		if got, ok := c.lookup(prompt, tokens); ok {
			n++
			if got != want {
				t.Errorf("response %d has log-probability %g, want %g", i, got, want)
			}
		}
	}
	if c.Len() != n {
		t.Errorf("%d responses known, of which %d are ours", c.Len(), n)
	}
	return n
}

func file(root string, n ReferenceName) string { return filepath.Join(root, n.ID(), "logps.bin") }

func TestCacheIsKeptUnderItsName(t *testing.T) {
	root := t.TempDir()
	c := openCache(t, root, name)
	put(t, c, 0, 5)
	put(t, c, 3, 8) // three of them again
	c.Close()
	again := openCache(t, root, name)
	if n := known(t, again, 8); n != 8 || again.Loaded() != 8 {
		t.Errorf("%d of 8 responses known, %d loaded", n, again.Loaded())
	}
	if info, err := os.Stat(file(root, name)); err != nil || info.Size() != 8*recordSize {
		t.Errorf("file of 8 records: %v, %v", info, err)
	}
	for _, other := range []ReferenceName{
		{"v", "t", "float16", "512/256"}, {"w", "u", "float16", "512/256"}, {"w", "t", "float32", "512/256"}, {"w", "t", "float16", "512/128"},
		{"wt", "", "float16", "512/256"},
	} {
		if c := openCache(t, root, other); c.Len() != 0 {
			t.Errorf("%+v finds the %d values of %+v", other, c.Len(), name)
		}
	}
	manifest, err := os.ReadFile(filepath.Join(root, name.ID(), "manifest.json"))
	if err != nil || !strings.Contains(string(manifest), `"dtype": "float16"`) {
		t.Errorf("manifest: %s, %v", manifest, err)
	}
	if memory := openCache(t, "", name); memory.Len() != 0 || memory.Close() != nil {
		t.Error("a cache in memory starts with values, or does not close")
	}
}

// TestKeysTellResponsesApart: the same tokens divided otherwise between prompt
// and response are another question.
func TestKeysTellResponsesApart(t *testing.T) {
	seen := map[cacheKey]string{}
	for _, c := range [][2][]int32{{{1, 2}, {3}}, {{1}, {2, 3}}, {{}, {1, 2, 3}}, {{1, 2, 3}, {}}, {{1, 2}, {3, 0}}, {{0, 1, 2}, {3}}, {{1, 2}, {-3}}} {
		key, text := keyOf(c[0], c[1]), fmt.Sprint(c)
		if other := seen[key]; other != "" {
			t.Errorf("%s and %s share a key", text, other)
		}
		seen[key] = text
	}
}

// TestDamagedCacheGivesNoWrongValue cuts the file at every length and flips
// every bit of it: what is still known is right, and the file can be used on.
func TestDamagedCacheGivesNoWrongValue(t *testing.T) {
	const responses = 4
	root := t.TempDir()
	put(t, openCache(t, root, name), 0, responses)
	whole, err := os.ReadFile(file(root, name))
	if err != nil || len(whole) != responses*recordSize {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	check := func(what string, damaged []byte, want int) {
		t.Helper()
		if err := os.WriteFile(file(root, name), damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		c := openCache(t, root, name)
		if n := known(t, c, responses); n != want {
			t.Errorf("%s: %d responses known, want %d", what, n, want)
		}
		put(t, c, 0, responses)
		c.Close()
		again := openCache(t, root, name)
		if n := known(t, again, responses); n != responses {
			t.Errorf("%s: %d of %d responses known after storing them again", what, n, responses)
		}
		again.Close()
	}
	for n := range whole {
		check(fmt.Sprintf("cut to %d bytes", n), whole[:n], n/recordSize)
	}
	for i := range whole {
		damaged := append([]byte(nil), whole...)
		damaged[i] ^= 1 << (i % 8)
		check(fmt.Sprintf("byte %d changed", i), damaged, i/recordSize)
	}
	check("zeros behind", append(append([]byte(nil), whole...), make([]byte, 100)...), responses)
	check("text", []byte(strings.Repeat("no cache at all ", 30)), 0)
}

// TestRunsShareACache: two that are open at once each find, later, what both
// wrote.
func TestRunsShareACache(t *testing.T) {
	root := t.TempDir()
	a, b := openCache(t, root, name), openCache(t, root, name)
	put(t, a, 0, 3)
	put(t, b, 2, 7)
	put(t, a, 7, 9)
	if n := known(t, openCache(t, root, name), 9); n != 9 {
		t.Errorf("%d of 9 responses known", n)
	}
}

func TestCacheErrors(t *testing.T) {
	root := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(root, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReferenceCache(root, name); err == nil || !strings.HasPrefix(err.Error(), "reference cache: ") {
		t.Errorf("a file in place of the directory: %v", err)
	}
	c := openCache(t, t.TempDir(), name)
	c.file.Close()
	prompt, tokens, logp := response(0)
	if err := c.store([]cacheKey{keyOf(prompt, tokens)}, []float32{logp}); err == nil || !strings.HasPrefix(err.Error(), "reference cache: ") {
		t.Errorf("writing to a closed file: %v", err)
	}
}

const model = "../models/testdata/llama"

// repeated is a source that gives the same examples for ever.
type repeated []data.Example

func (s repeated) Next() ([]data.Example, error) { return s, nil }
func (s repeated) State() data.State             { return data.State{} }
func (s repeated) Restore(data.State) error      { return nil }

func examples() (out repeated) {
	for i := range int32(8) {
		out = append(out, data.Example{Prompt: []int32{5 + i, 9, 11}, Chosen: []int32{20 + i, 3, 1}, Rejected: []int32{40 - i, 8, 2, 1}})
	}
	return out
}

func trainer(t *testing.T, s Settings, in Inputs) *Trainer {
	t.Helper()
	devices, err := device.ParseList("cpu:2")
	if err != nil {
		t.Fatal(err)
	}
	w, err := distributed.NewWorld(devices, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	s.BatchSize, s.LR, s.WarmupSteps = 8, 1e-3, 0
	s.Sharding.BlockName = "LlamaDecoderLayer"
	in.PolicyDir, in.Source = model, examples()
	tr, err := New(w, s, in, Events{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestReferenceIsAskedOnce: a second run finds every log-probability on disk
// and trains without a reference model, to the very same losses; under another
// name it asks again.
func TestReferenceIsAskedOnce(t *testing.T) {
	root := t.TempDir()
	run := func(n ReferenceName, reference string) (losses [2]float64, c *ReferenceCache, asked bool, err error) {
		s := DefaultSettings()
		s.Loss, s.ReferenceDType, s.Sharding = loss.DPO(0.1, 0), dtype.Float32, fsdp.Config{}
		c = openCache(t, root, n)
		tr := trainer(t, s, Inputs{ReferenceDir: reference, Cache: c})
		for i := range losses {
			m, err := tr.Step(examples())
			if err != nil {
				return losses, c, false, err
			}
			losses[i] = m["loss/train"]
		}
		return losses, c, tr.reference != nil, nil
	}
	first, c, asked, err := run(name, model)
	if err != nil || !asked || c.Loaded() != 0 || c.Len() != 16 {
		t.Fatalf("first run: %v, asked %v, %d loaded, %d known", err, asked, c.Loaded(), c.Len())
	}
	if math.Abs(first[0]-math.Ln2) > 1e-5 || first[1] == first[0] {
		t.Errorf("losses %v, want ln 2 first", first)
	}
	second, c, asked, err := run(name, "/nowhere")
	if err != nil || asked || c.Loaded() != 16 || second != first {
		t.Errorf("second run: %v, asked %v, %d loaded, losses %v, want %v", err, asked, c.Loaded(), second, first)
	}
	other := name
	other.Weights = "others"
	if _, _, _, err := run(other, "/nowhere"); err == nil || !strings.Contains(err.Error(), "reference model: ") {
		t.Errorf("under another name with no reference model: %v", err)
	}
	if third, _, asked, err := run(other, model); err != nil || !asked || third != first {
		t.Errorf("under another name: %v, asked %v, losses %v", err, asked, third)
	}
}
