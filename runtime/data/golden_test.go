package data

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dpolab/runtime/tokenizer"
)

// goldenRun holds arguments of the reference's get_batch_iterator.
type goldenRun struct {
	Names           []string `json:"names"`
	Split           Split    `json:"split"`
	Seed            uint32   `json:"seed"`
	SFT             bool     `json:"sft_mode"`
	BatchSize       int      `json:"batch_size"`
	Epochs          int      `json:"n_epochs"`
	Examples        int      `json:"n_examples"`
	Shuffle         *bool    `json:"shuffle"`
	MaxLength       int      `json:"max_length"`
	MaxPromptLength int      `json:"max_prompt_length"`
}

// options are the run's, with the reference's defaults.
func (r goldenRun) options() Options {
	o := DefaultOptions()
	o.Seed, o.SFT, o.Epochs, o.Examples = r.Seed, r.SFT, r.Epochs, r.Examples
	if r.BatchSize > 0 {
		o.BatchSize = r.BatchSize
	}
	if r.Shuffle != nil {
		o.Shuffle = *r.Shuffle
	}
	if r.MaxLength > 0 {
		o.Limits = Limits{r.MaxLength, r.MaxPromptLength}
	}
	return o
}

// goldens is testdata/goldens.json: what the reference's own code did with the
// rows in testdata (goldens.py).
type goldens struct {
	Orders []struct {
		goldenRun
		Batches [][]string `json:"batches"`
	} `json:"orders"`
	Tokens []struct {
		goldenRun
		Examples []struct {
			Prompt, Chosen, Rejected []int32
			Masked                   [2]int
		} `json:"examples"`
	} `json:"tokens"`
	Padded struct {
		IDs, Labels, Mask [][]int32
	} `json:"padded"`
	HTML        [][2]string `json:"html"`
	Permutation []int       `json:"permutation"`
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func readGoldens(t testing.TB) (g goldens) {
	readJSON(t, "testdata/goldens.json", &g)
	return g
}

func pluginOf(t testing.TB, path string) Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	eos, ok := tok.ID("<|endoftext|>")
	if !ok {
		t.Fatalf("%s: no <|endoftext|>", path)
	}
	return Tokenizer{Encode: func(s string) []int32 { return tok.Encode(s, false) }, EOS: eos, EOSText: "<|endoftext|>"}
}

var sourcePaths = map[string]string{"hh": "testdata/hh", "shp": "testdata/shp.jsonl", "se": "testdata/se.jsonl"}

func iteratorOf(t testing.TB, tok Tokenizer, r goldenRun) *Iterator {
	t.Helper()
	if r.Split == "" {
		r.Split = Train
	}
	var sets []*Dataset
	for _, name := range r.Names {
		set, err := Load(name, sourcePaths[name], r.Split)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, set)
	}
	it, err := NewIterator(sets, tok, r.options())
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func drain(t testing.TB, it *Iterator) (batches [][]Example) {
	t.Helper()
	for {
		batch, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		if batch == nil {
			return batches
		}
		batches = append(batches, batch)
	}
}

// key is how goldens.py names an example.
func key(e Example, sft bool) string {
	text := e.PromptText + e.ChosenText
	if !sft {
		text += "\x00" + e.PromptText + e.RejectedText
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:10]
}

// TestOrder wants the reference's batches, example for example, over epochs,
// seeds, datasets and limits.
func TestOrder(t *testing.T) {
	g, tok := readGoldens(t), pluginOf(t, "testdata/tokenizer")
	if len(g.Orders) < 20 {
		t.Fatalf("%d orders", len(g.Orders))
	}
	for i, run := range g.Orders {
		it := iteratorOf(t, tok, run.goldenRun)
		total := 0
		var got [][]string
		for _, batch := range drain(t, it) {
			var keys []string
			for _, e := range batch {
				keys = append(keys, key(e, run.SFT))
			}
			got, total = append(got, keys), total+len(batch)
		}
		if !slices.EqualFunc(got, run.Batches, slices.Equal) {
			t.Errorf("order %d %+v:\n got %v\nwant %v", i, run.goldenRun, got, run.Batches)
		}
		if total != it.Total() {
			t.Errorf("order %d: %d examples, announced %d", i, total, it.Total())
		}
	}
}

// TestTokens wants the reference's tokens and labels under four limits, and
// that the limits cut what they are there to cut.
func TestTokens(t *testing.T) {
	g, tok := readGoldens(t), pluginOf(t, "testdata/tokenizer")
	cut, lost := 0, 0
	for _, run := range g.Tokens {
		off := false
		run.Shuffle, run.Epochs = &off, 1
		it := iteratorOf(t, tok, run.goldenRun)
		batches := drain(t, it)
		if len(batches) != len(run.Examples) {
			t.Fatalf("%v: %d examples, want %d", run.Names, len(batches), len(run.Examples))
		}
		for i, want := range run.Examples {
			e := batches[i][0]
			ok := slices.Equal(e.Prompt, want.Prompt) &&
				slices.Equal(slices.Concat(e.Prompt, e.Chosen), want.Chosen) &&
				slices.Equal(slices.Concat(e.Prompt, e.Rejected), want.Rejected) &&
				want.Masked == [2]int{len(e.Prompt), len(e.Prompt)}
			if !ok {
				t.Errorf("%v, limits %d and %d, example %d (%s): %v %v %v, want %v", run.Names, run.MaxLength, run.MaxPromptLength, i, e.Row, e.Prompt, e.Chosen, e.Rejected, want)
			}
		}
		cut, lost = cut+it.Truncated(), lost+it.LostEOS()
	}
	if cut < 20 || lost < 10 {
		t.Errorf("%d prompts and %d responses cut: these goldens test no truncation", cut, lost)
	}
}

func TestPaddedGolden(t *testing.T) {
	g, tok := readGoldens(t), pluginOf(t, "testdata/tokenizer")
	it := iteratorOf(t, tok, goldenRun{Names: []string{"hh"}, Split: Test, BatchSize: 3, Epochs: 1, MaxLength: 48, MaxPromptLength: 24})
	p := Pad(drain(t, it)[0], Preference)
	if p.Rows != len(g.Padded.IDs) || p.Width != len(g.Padded.IDs[0]) {
		t.Fatalf("[%d, %d], want [%d, %d]", p.Rows, p.Width, len(g.Padded.IDs), len(g.Padded.IDs[0]))
	}
	mask := make([]int32, len(p.Mask))
	for i, m := range p.Mask {
		if m {
			mask[i] = 1
		}
	}
	for name, c := range map[string]struct {
		got  []int32
		want [][]int32
	}{"ids": {p.IDs, g.Padded.IDs}, "labels": {p.Labels, g.Padded.Labels}, "mask": {mask, g.Padded.Mask}} {
		if want := slices.Concat(c.want...); !slices.Equal(c.got, want) {
			t.Errorf("%s: %v, want %v", name, c.got, want)
		}
	}
}

func TestHTML(t *testing.T) {
	for _, c := range readGoldens(t).HTML {
		if got := stripHTML(c[0]); got != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}

func TestDatasetsShuffle(t *testing.T) {
	if got, want := datasetsShuffle(120), readGoldens(t).Permutation; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestRealData wants the reference's tokens and labels of Anthropic's own file,
// in its order, with Pythia's tokenizer.
func TestRealData(t *testing.T) {
	shared := filepath.Join("..", "..", "..", "shared", "data")
	path := filepath.Join(shared, "hh", "harmless-base-test.jsonl.gz")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the real data is not here: %v", err)
	}
	tok := pluginOf(t, filepath.Join(shared, "tokenizers", "gpt-neox", "tokenizer.json.gz"))
	memo := map[string][]int32{}
	encode := tok.Encode
	tok.Encode = func(s string) []int32 {
		ids, ok := memo[s]
		if !ok {
			ids = encode(s)
			memo[s] = ids
		}
		return ids
	}
	set, err := Load("hh", path, Test)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Report{Rows: 2312, Pairs: 2312, PromptMismatch: 4, EmptyRejected: 2}); set.Report != want {
		t.Errorf("report %+v, want %+v", set.Report, want)
	}
	var real struct {
		Runs []struct {
			goldenRun
			Count  int    `json:"examples"`
			SHA256 string `json:"sha256"`
		} `json:"runs"`
	}
	readJSON(t, "testdata/real.json", &real)
	for _, run := range real.Runs {
		it, err := NewIterator([]*Dataset{set}, tok, run.options())
		if err != nil {
			t.Fatal(err)
		}
		h, count := sha256.New(), 0
		number := func(v int32) { h.Write(binary.LittleEndian.AppendUint32(nil, uint32(v))) }
		list := func(prompt, response []int32, masked bool) {
			number(int32(len(prompt) + len(response)))
			for _, id := range prompt {
				if masked {
					id = -100
				}
				number(id)
			}
			for _, id := range response {
				number(id)
			}
		}
		for _, batch := range drain(t, it) {
			for _, e := range batch {
				count++
				list(e.Prompt, e.Chosen, false)
				list(e.Prompt, e.Chosen, true)
				if !run.SFT {
					list(e.Prompt, e.Rejected, false)
					list(e.Prompt, e.Rejected, true)
				}
			}
		}
		if got := hex.EncodeToString(h.Sum(nil)); count != run.Count || got != run.SHA256 {
			t.Errorf("%+v: %d examples, %s; want %d, %s", run.goldenRun, count, got, run.Count, run.SHA256)
		}
		t.Logf("%d examples, %d dropped, %d prompts cut, %d without EOS", count, it.Dropped(), it.Truncated(), it.LostEOS())
	}
}
