package data

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// lettersSet has prompts pa, pb, ... of two pairs each, but the last of one:
// 11 pairs of 6 prompts, each pair with a rejected letter of its own.
func lettersSet() *Dataset {
	set := &Dataset{Name: "letters"}
	for i := range 11 {
		letter := string(rune('a' + i))
		set.AddPair("p"+string(rune('a'+i/2)), "c", letter, "row "+letter)
	}
	return set
}

// rest delivers what is left, a word of rejected letters for each batch.
func rest(t *testing.T, it *Iterator) (words []string) {
	t.Helper()
	for _, batch := range drain(t, it) {
		word := ""
		for _, e := range batch {
			word += e.RejectedText
		}
		words = append(words, word)
	}
	return words
}

// TestRestore stops at every batch, writes the position down as JSON, and wants
// a new iterator to continue as the run without a break did.
func TestRestore(t *testing.T) {
	for _, o := range []Options{
		{BatchSize: 4, Epochs: 3, DropLast: true, Shuffle: true},
		{BatchSize: 4, Epochs: 3, DropLast: false, Shuffle: true},
		{BatchSize: 4, Examples: 30, DropLast: true, Shuffle: true, Seed: 5},
		{BatchSize: 11, Epochs: 2, DropLast: true},
		{BatchSize: 5, Epochs: 4, SFT: true, Shuffle: true},
	} {
		o.Limits = Limits{6, 2}
		fresh := func() *Iterator {
			it, err := NewIterator([]*Dataset{lettersSet()}, letters, o)
			if err != nil {
				t.Fatal(err)
			}
			return it
		}
		whole := fresh()
		all := rest(t, whole)
		broken := fresh()
		for i := range all {
			text, err := json.Marshal(broken.State())
			if err != nil {
				t.Fatal(err)
			}
			var s State
			if err := json.Unmarshal(text, &s); err != nil {
				t.Fatal(err)
			}
			resumed := fresh()
			if err := resumed.Restore(s); err != nil {
				t.Fatal(err)
			}
			if got := rest(t, resumed); !slices.Equal(got, all[i:]) {
				t.Errorf("%+v: after batch %d: %v, want %v", o, i, got, all[i:])
			}
			if resumed.State() != whole.State() {
				t.Errorf("%+v: after batch %d: ends in %+v, want %+v", o, i, resumed.State(), whole.State())
			}
			if _, err := broken.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if err := whole.Restore(State{}); err != nil {
			t.Fatal(err)
		}
		if again := rest(t, whole); !slices.Equal(again, all) {
			t.Errorf("%+v: from the start again: %v, want %v", o, again, all)
		}
	}
}

func TestRestoreElsewhere(t *testing.T) {
	o := Options{BatchSize: 2, Epochs: 1, Limits: Limits{20, 10}, Shuffle: true}
	position := func(o Options, set *Dataset) State {
		it, err := NewIterator([]*Dataset{set}, letters, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := it.Next(); err != nil {
			t.Fatal(err)
		}
		return it.State()
	}
	it, err := NewIterator([]*Dataset{lettersSet()}, letters, o)
	if err != nil {
		t.Fatal(err)
	}
	seeded, sft, more := o, o, lettersSet()
	seeded.Seed, sft.SFT = 1, true
	more.AddPair("pa", "c", "zz", "")
	far := position(o, lettersSet())
	far.Item = 12
	for name, c := range map[string]struct {
		s    State
		want string
	}{
		"seed": {position(seeded, lettersSet()), "other data, another seed"},
		"mode": {position(sft, lettersSet()), "other data, another seed"},
		"data": {position(o, more), "other data, another seed"},
		"item": {far, "no position 12"},
	} {
		if err := it.Restore(c.s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	larger := o
	larger.BatchSize = 3
	if err := it.Restore(position(larger, lettersSet())); err != nil {
		t.Errorf("another batch size: %v", err)
	}
}

// TestTotal compares the announcement with what comes, for every small limit.
func TestTotal(t *testing.T) {
	for _, drop := range []bool{true, false} {
		for size := 1; size <= 12; size++ {
			for epochs := range 4 {
				for examples := range 40 {
					o := Options{BatchSize: size, Epochs: epochs, Examples: examples, DropLast: drop, Shuffle: true, Limits: Limits{20, 10}}
					it, err := NewIterator([]*Dataset{lettersSet()}, letters, o)
					if err != nil {
						if epochs+examples > 0 && !(drop && size > 11) {
							t.Errorf("%+v: %v", o, err)
						}
						continue
					}
					if got := len(strings.Join(rest(t, it), "")); got != it.Total() {
						t.Errorf("%+v: %d examples, announced %d", o, got, it.Total())
					}
				}
			}
		}
	}
}

// TestEpochs wants every pair once in each epoch and the pairs of a prompt
// together, in orders that differ from epoch to epoch.
func TestEpochs(t *testing.T) {
	it, err := NewIterator([]*Dataset{lettersSet()}, letters, Options{BatchSize: 11, Epochs: 5, Limits: Limits{20, 10}, Shuffle: true})
	if err != nil {
		t.Fatal(err)
	}
	words := rest(t, it)
	for _, w := range words {
		bytes := []byte(w)
		slices.Sort(bytes)
		if string(bytes) != "abcdefghijk" {
			t.Errorf("epoch %q", w)
		}
		for _, pair := range []string{"ab", "cd", "ef", "gh", "ij"} {
			if !strings.Contains(w, pair) {
				t.Errorf("epoch %q parts the pairs %s of one prompt", w, pair)
			}
		}
	}
	slices.Sort(words)
	if len(words) != 5 || len(slices.Compact(words)) < 4 {
		t.Errorf("epochs %q", words)
	}
}

func TestCounts(t *testing.T) {
	set := &Dataset{Name: "x"}
	set.AddPair("long prompt", "a", "b", "")
	set.AddPair("p", "a long response", "b", "")
	set.AddPair("p", "a", "b", "")
	it, err := NewIterator([]*Dataset{set}, letters, Options{BatchSize: 2, Epochs: 1, Limits: Limits{8, 4}, DropLast: true})
	if err != nil {
		t.Fatal(err)
	}
	drain(t, it)
	if it.Dropped() != 1 || it.Truncated() != 1 || it.LostEOS() != 1 {
		t.Errorf("%d dropped, %d prompts cut, %d without EOS; want 1 of each", it.Dropped(), it.Truncated(), it.LostEOS())
	}
}

func TestBadOptions(t *testing.T) {
	good := DefaultOptions()
	for want, change := range map[string]func(*Options){
		"batch size 0":                 func(o *Options) { o.BatchSize = 0 },
		"neither epochs":               func(o *Options) { o.Epochs = 0 },
		"-1 epochs":                    func(o *Options) { o.Epochs = -1 },
		"batch of 12 at least, got 11": func(o *Options) { o.BatchSize = 12 },
		"prompt at most 0":             func(o *Options) { o.Limits.MaxPromptLength = 0 },
		"lengths of 128":               func(o *Options) { o.Limits.MaxLength = 128 },
	} {
		o := good
		change(&o)
		if _, err := NewIterator([]*Dataset{lettersSet()}, letters, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := NewIterator([]*Dataset{{}}, letters, good); err == nil || !strings.Contains(err.Error(), "got 0") {
		t.Errorf("an empty dataset: %v", err)
	}
}

// TestEOSInText: the error says which row of which set.
func TestEOSInText(t *testing.T) {
	set := &Dataset{Name: "mine"}
	set.AddPair("p", "a", "b", "rows.jsonl:1")
	set.AddPair("p", "a", "b\x00", "rows.jsonl:2")
	it, err := NewIterator([]*Dataset{set}, letters, Options{BatchSize: 1, Epochs: 1, Limits: Limits{8, 4}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := it.Next(); err != nil {
		t.Fatal(err)
	}
	before := it.State()
	if _, err := it.Next(); err == nil || !strings.Contains(err.Error(), "mine: rows.jsonl:2: the rejected response contains the end-of-text token <eos>") {
		t.Errorf("got %v", err)
	}
	if it.State() != before {
		t.Errorf("the error moved the position from %+v to %+v", before, it.State())
	}
}

// BenchmarkIterate passes over as many rows as harmless-base/test has, without
// tokenising.
func BenchmarkIterate(b *testing.B) {
	set := &Dataset{Name: "x"}
	for i := range 2312 {
		set.AddPair(fmt.Sprint("prompt ", i), strings.Repeat("chosen ", 20), strings.Repeat("rejected ", 20), "")
	}
	tok := letters
	ids := make([]int32, 50)
	for i := range ids {
		ids[i] = 7
	}
	tok.Encode = func(string) []int32 { return ids }
	for b.Loop() {
		it, err := NewIterator([]*Dataset{set}, tok, Options{BatchSize: 8, Epochs: 1, Limits: Limits{512, 256}, Shuffle: true})
		if err != nil {
			b.Fatal(err)
		}
		for {
			batch, err := it.Next()
			if err != nil {
				b.Fatal(err)
			}
			if batch == nil {
				break
			}
			Pack(batch, Preference)
		}
	}
}
