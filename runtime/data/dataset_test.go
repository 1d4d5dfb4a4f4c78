package data

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReport counts the oddities of our own rows (testdata/rows.py).
func TestReport(t *testing.T) {
	set, err := Load("hh", "testdata/hh", Train)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Report{Rows: 20, Pairs: 20, PromptMismatch: 2, EmptyRejected: 1, Identical: 1}); set.Report != want {
		t.Errorf("hh: %+v, want %+v", set.Report, want)
	}
	want := "20 rows, 20 pairs, 2 pairs with a rejected text that does not continue the prompt, 1 with an empty rejected response, 1 with identical responses"
	if got := set.Report.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if first := set.Prompts[0]; first.Row != "harmless-base/train.jsonl:1" || !slices.Equal(first.PairRows, []string{"harmless-base/train.jsonl:1", "harmless-base/train.jsonl:7", "helpful-base/train.jsonl.gz:7"}) {
		t.Errorf("rows of the first prompt: %q %q", first.Row, first.PairRows)
	}
	if last := set.Prompts[len(set.Prompts)-1]; last.Row != "helpful-base/train.jsonl.gz:10" {
		t.Errorf("row of the last prompt: %q", last.Row)
	}
	if set, err = Load("shp", "testdata/shp.jsonl", Test); err != nil {
		t.Fatal(err)
	}
	if set.Report.Rows != 25 || set.Report.Filtered == 0 || set.Report.Filtered+set.Report.Pairs != 25 {
		t.Errorf("shp: %+v", set.Report)
	}
	if set, err = Load("se", "testdata/se.jsonl", Train); err != nil {
		t.Fatal(err)
	}
	if set.Report.Rows != 119 || set.Report.Replaced != 1 || set.Report.Pairs != set.NumPairs() || len(set.Prompts) != 118 {
		t.Errorf("se: %+v, %d prompts", set.Report, len(set.Prompts))
	}
}

// TestDirectory: which files of a directory belong to which split, and in which
// order.
func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"helpful/train.jsonl", "helpful-base/train.jsonl", "harmless-base/train-00001-of-00002.json", "harmless-base/train-00000-of-00002.json", "train.jsonl",
		"harmless-base/test.jsonl", "training.jsonl", "train.txt", "notes/test.md", "red-team/red_team.jsonl"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		row := `{"chosen":"\n\nAssistant: ` + name + `","rejected":"x"}`
		if err := os.WriteFile(path, []byte(row), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for split, want := range map[Split][]string{
		Train: {" harmless-base/train-00000-of-00002.json", " harmless-base/train-00001-of-00002.json", " helpful-base/train.jsonl", " helpful/train.jsonl", " train.jsonl"},
		Test:  {" harmless-base/test.jsonl"},
	} {
		set, err := Load("hh", dir, split)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, pair := range set.Prompts[0].Pairs {
			got = append(got, set.Prompts[0].Responses[pair[0]])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", split, got, want)
		}
	}
	if _, err := Load("hh", filepath.Join(dir, "notes"), Test); err == nil || !strings.Contains(err.Error(), "no file test{.jsonl") {
		t.Errorf("a directory without rows: %v", err)
	}
	if _, err := Load("hh", filepath.Join(dir, "absent"), Test); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("an absent directory: %v", err)
	}
	if _, err := Load("hh", dir, "validation"); err == nil || !strings.Contains(err.Error(), `unknown split "validation"`) {
		t.Errorf("an unknown split: %v", err)
	}
}

func TestGzip(t *testing.T) {
	var packed bytes.Buffer
	for range 2 { // two members, as parallel compressors write them
		z := gzip.NewWriter(&packed)
		for range 50 {
			z.Write([]byte(`{"prompt":"p","chosen":"c","rejected":"r"}` + "\r\n"))
		}
		z.Close()
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl.gz")
	if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := Load("pairs", path, Train)
	if err != nil || set.NumPairs() != 100 {
		t.Errorf("%v, want 100 pairs", err)
	}
	if err := os.WriteFile(path, packed.Bytes()[:packed.Len()-4], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("pairs", path, Train); err == nil || !strings.Contains(err.Error(), "rows.jsonl.gz:101: unexpected EOF") {
		t.Errorf("a cut file: %v", err)
	}
}

// TestLongLine: a line may be as long as a book.
func TestLongLine(t *testing.T) {
	long := strings.Repeat("word ", 1<<20)
	set, err := Load("pairs", write(t, `{"prompt":"`+long+`","chosen":"c","rejected":"r"}`), Train)
	if err != nil || set.Prompts[0].Text != long {
		t.Errorf("%v", err)
	}
}

// TestOwnSource registers a loader and builds its set pair by pair.
func TestOwnSource(t *testing.T) {
	defer delete(sources, "mine")
	Register("mine", func(path string, split Split) (*Dataset, error) {
		set := &Dataset{Name: "mine", Prompts: []Prompt{{Text: "old", Responses: []string{"x", "y"}, Pairs: [][2]int{{1, 0}}}}}
		set.AddPair("old", path, "", "row 1")
		set.AddPair("new", string(split), "b", "row 2")
		return set, nil
	})
	if !slices.Contains(Sources(), "mine") {
		t.Errorf("sources %v", Sources())
	}
	set, err := Load("mine", "somewhere", Test)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Prompts) != 2 || set.NumPairs() != 3 || set.Prompts[0].SFTTarget != "somewhere" || set.Prompts[1].SFTTarget != "test" {
		t.Errorf("%+v", set.Prompts)
	}
	it, err := NewIterator([]*Dataset{set}, letters, Options{BatchSize: 3, Epochs: 1, Limits: Limits{64, 32}})
	if err != nil {
		t.Fatal(err)
	}
	if e := drain(t, it)[0]; e[0].ChosenText != "y" || e[1].ChosenText != "somewhere" || e[2].Row != "row 2" {
		t.Errorf("%+v", e)
	}
}

// FuzzLoad reads anything as each kind of rows. What is accepted must hold
// together and be packed without trouble.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		`{"chosen":"\n\nHuman: a\n\nAssistant: b","rejected":"\n\nHuman: a\n\nAssistant: c"}` + "\n" + `{"chosen":"\n\nAssistant:é","rejected":""}`,
		`{"prompt":"p","chosen":"c","rejected":"r"}` + "\r\n\n",
		`{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]}`,
		`{"prompt":[{"role":"system","content":"s"}],"chosen":[{"role":"user","content":"q"}],"rejected":[{"role":"user","content":""}]}`,
		`{"history":"h","human_ref_A":"a","human_ref_B":"b","score_A":5,"score_B":1,"labels":1}`,
		`{"question":"<p>q &amp;</p>","answers":[{"text":"<pre><code>x</code>","pm_score":3},{"text":"<p>y<!-- z -->","pm_score":0}]}`,
	} {
		f.Add(text)
	}
	path := filepath.Join(f.TempDir(), "rows.jsonl")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, source := range Sources() {
			set, err := Load(source, path, Train)
			if err != nil {
				if !strings.Contains(err.Error(), path) || strings.ContainsAny(err.Error(), "\n") {
					t.Errorf("%s: error without the file, or of several lines: %q", source, err)
				}
				continue
			}
			for _, p := range set.Prompts {
				if len(p.Pairs) != len(p.PairRows) {
					t.Fatalf("%s: %d pairs, %d rows", source, len(p.Pairs), len(p.PairRows))
				}
				for _, pair := range p.Pairs {
					_, _ = p.Responses[pair[0]], p.Responses[pair[1]]
				}
			}
			it, err := NewIterator([]*Dataset{set}, letters, Options{BatchSize: 2, Epochs: 1, Limits: Limits{32, 16}, Shuffle: true})
			if err != nil {
				if set.NumPairs() > 0 {
					t.Errorf("%s: %v", source, err)
				}
				continue
			}
			for {
				batch, err := it.Next()
				if err != nil || batch == nil {
					break // letters refuses texts with a zero byte
				}
				if b := Pack(batch, Preference); len(b.Offsets) != 2*len(batch)+1 || len(b.LabelRows) != len(b.Labels) {
					t.Fatalf("%s: %d offsets, %d label rows, %d labels for %d examples", source, len(b.Offsets), len(b.LabelRows), len(b.Labels), len(batch))
				}
			}
		}
	})
}
