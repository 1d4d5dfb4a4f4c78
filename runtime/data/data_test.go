package data

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t testing.TB, text string) string {
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestGenerators compares with numpy 2 and Python 3.11: numpy.random.seed(0);
// numpy.random.randint(0, 2**32, 3), and random.seed(s); random.shuffle.
func TestGenerators(t *testing.T) {
	n := numpySeed(0)
	if got, want := []uint32{n.uint32(), n.uint32(), n.uint32()}, []uint32{2357136044, 2546248239, 3071714933}; !slices.Equal(got, want) {
		t.Errorf("numpy: %v, want %v", got, want)
	}
	for seed, want := range shuffles {
		got := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		pythonSeed(seed).shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		if !slices.Equal(got, want) {
			t.Errorf("random.seed(%d): %v, want %v", seed, got, want)
		}
	}
}

func TestHH(t *testing.T) {
	set, err := Load("hh", write(t, `{"chosen":"\n\nHuman: é?\n\nAssistant: a","rejected":"\n\nHuman: é?\n\nAssistant: b"}
{"chosen":"\n\nHuman: é?\n\nAssistant: c","rejected":"\n\nHuman: x?\n\nAssistant: dd"}
`), Train)
	if err != nil {
		t.Fatal(err)
	}
	p := set.Prompts[0]
	if len(set.Prompts) != 1 || p.Text != "\n\nHuman: é?\n\nAssistant:" || !slices.Equal(p.Responses, []string{" a", " b", " c", " dd"}) || p.SFTTarget != " c" {
		t.Errorf("%+v", set.Prompts)
	}
	if set.Report.PromptMismatch != 1 || set.NumPairs() != 2 {
		t.Errorf("report %+v", set.Report)
	}
}

func TestConversations(t *testing.T) {
	set, err := Load("pairs", write(t, `{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"good"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"bad"}]}
{"prompt":[{"role":"user","content":"q"}],"chosen":"x","rejected":"y"}
{"prompt":"plain","chosen":"x","rejected":"y"}
`), Train)
	if err != nil {
		t.Fatal(err)
	}
	if p := set.Prompts[0]; p.Text != "\n\nHuman: q\n\nAssistant:" || !slices.Equal(p.Responses, []string{" good", " bad", "x", "y"}) || set.Prompts[1].Text != "plain" {
		t.Errorf("%+v", set.Prompts)
	}
}

func TestBadLines(t *testing.T) {
	good := `{"chosen":"\n\nAssistant: a","rejected":"\n\nAssistant: b"}` + "\n"
	for name, c := range map[string]struct{ source, text, want string }{
		"not JSON":         {"hh", good + "{oops\n", ":2: not JSON"},
		"missing field":    {"hh", good + `{"chosen":"\n\nAssistant: a"}`, ":2: want the fields"},
		"no turn":          {"hh", `{"chosen":"hello","rejected":"x"}`, ":1: chosen has no"},
		"wrong type":       {"hh", `{"chosen":1,"rejected":"x"}`, ":1: field chosen: want a string, got a number"},
		"empty":            {"hh", "\n\n", "no preference pairs"},
		"pairs role":       {"pairs", `{"prompt":"p","chosen":[{"role":"bot","content":"x"}],"rejected":"y"}`, `role "bot"`},
		"pairs mixture":    {"pairs", `{"prompt":"p","chosen":[{"role":"user","content":"x"}],"rejected":"y"}`, "both"},
		"pairs no prompt":  {"pairs", `{"chosen":"x","rejected":"y"}`, "want the field prompt"},
		"shp missing":      {"shp", `{"history":"x"}`, "want the fields history"},
		"unknown dataset":  {"imdb", good, `unknown dataset "imdb"`},
		"not an object":    {"hh", good + "[1]", ":2: want a JSON object, got a array"},
		"not UTF-8":        {"hh", good + "{\"chosen\":\"\xff\"}", ":2: not valid UTF-8"},
		"pairs content":    {"pairs", `{"prompt":"p","chosen":[{"role":"user"}],"rejected":[{"role":"user","content":"x"}]}`, "chosen[0]: no content"},
		"pairs number":     {"pairs", `{"prompt":3,"chosen":"x","rejected":"y"}`, "prompt: want a string or a list"},
		"shp zero":         {"shp", `{"history":"x","human_ref_A":"a","human_ref_B":"b","score_A":0,"score_B":3,"labels":1}`, "no ratio"},
		"se no score":      {"se", `{"question":"x","answers":[{"text":"a"}]}`, ":1: answers[0]: want the fields text and pm_score"},
		"se no answers":    {"se", `{"question":"x","answers":[]}`, ":1: no answers"},
		"not gzip at all ": {"hh.gz", good, "not gzip"},
	} {
		path := write(t, c.text)
		if name, gz := strings.CutSuffix(c.source, ".gz"); gz {
			c.source = name
			os.Rename(path, path+".gz")
			path += ".gz"
		}
		_, err := Load(c.source, path, Train)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// letters is a tokenizer of bytes with EOS 0.
var letters = Tokenizer{EOS: 0, EOSText: "<eos>", Encode: func(s string) []int32 {
	var ids []int32
	for i := range len(s) {
		ids = append(ids, int32(s[i]))
	}
	return ids
}}

func TestTruncation(t *testing.T) {
	for _, c := range []struct {
		cut                      Truncation
		prompt, chosen, rejected string
		wantPrompt, wantC, wantR string
		truncated, lost          bool
	}{
		{KeepEnd, "abcd", "xy", "z", "abcd", "xy\x00", "z\x00", false, false},
		{KeepEnd, "abcdefgh", "xy", "z", "efgh", "xy\x00", "z\x00", true, false},
		{KeepStart, "abcdefgh", "xy", "z", "abcd", "xy\x00", "z\x00", true, false},
		{KeepEnd, "abcdefgh", "uvwxyz", "z", "efgh", "uvwx", "z\x00", true, true},
	} {
		e, err := letters.Tokenize(c.prompt, c.chosen, c.rejected, c.cut, Limits{8, 4})
		if err != nil {
			t.Fatal(err)
		}
		text := func(ids []int32) string {
			b := make([]byte, len(ids))
			for i, id := range ids {
				b[i] = byte(id)
			}
			return string(b)
		}
		if text(e.Prompt) != c.wantPrompt || text(e.Chosen) != c.wantC || text(e.Rejected) != c.wantR || e.Truncated != c.truncated || e.LostEOS != c.lost {
			t.Errorf("%q %q %q: got %q %q %q %v %v", c.prompt, c.chosen, c.rejected, text(e.Prompt), text(e.Chosen), text(e.Rejected), e.Truncated, e.LostEOS)
		}
	}
	if _, err := letters.Tokenize("a\x00", "b", "c", KeepEnd, Limits{8, 4}); err == nil || !strings.Contains(err.Error(), "<eos>") {
		t.Errorf("a prompt with EOS: %v", err)
	}
}

// TestPack checks the layout of a pair against the padded oracle: every label
// is predicted by the row of the token before it.
func TestPack(t *testing.T) {
	var examples []Example
	for _, s := range [][3]string{{"pq", "abc", "de"}, {"", "fg", "h"}, {"r", "i", "jkl"}} {
		e, err := letters.Tokenize(s[0], s[1], s[2], KeepEnd, Limits{20, 10})
		if err != nil {
			t.Fatal(err)
		}
		examples = append(examples, e)
	}
	for _, mode := range []Mode{Preference, SFT} {
		b, p := Pack(examples, mode), Pad(examples, mode)
		for r := range p.Rows {
			var before, labels []int32
			for j := 1; j < p.Width; j++ {
				if l := p.Labels[r*p.Width+j]; l != -100 {
					before, labels = append(before, p.IDs[r*p.Width+j-1]), append(labels, l)
				}
			}
			lo, hi := b.Offsets[r], b.Offsets[r+1]
			if !slices.Equal(b.Labels[lo:hi], labels) {
				t.Errorf("mode %d, response %d: labels %v, want %v", mode, r, b.Labels[lo:hi], labels)
			}
			for i, row := range b.LabelRows[lo:hi] {
				if b.IDs[row] != before[i] {
					t.Errorf("mode %d, response %d: label %d is predicted after %d, want %d", mode, r, i, b.IDs[row], before[i])
				}
			}
		}
	}
	if c := Count(examples, Preference); c.Packed != 21 || c.Unpadded != 24 || c.Padded != 36 {
		t.Errorf("token counts %+v", c)
	}
}

var shuffles = map[uint32][]int{
	0:          {7, 8, 1, 5, 3, 4, 2, 0, 9, 6},
	1:          {6, 8, 9, 7, 5, 3, 0, 4, 1, 2},
	7:          {8, 3, 1, 4, 7, 0, 9, 6, 2, 5},
	4294967295: {0, 7, 1, 5, 2, 6, 4, 8, 3, 9},
}
