package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

const small = `{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`

func TestBadFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"truncated":           {small[:30], "not a tokenizer.json"},
		"no merges":           {`{"model":{"type":"BPE","vocab":{"a":0}}}`, "no merges"},
		"no vocabulary":       {`{"model":{"type":"BPE","merges":[]}}`, "no vocabulary"},
		"other model":         {`{"model":{"type":"Unigram","vocab":{"a":0},"merges":[]}}`, `"Unigram", supported is BPE`},
		"merge of unknown":    {`{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}`, `token "b" is not in the vocabulary`},
		"merge to unknown":    {`{"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}}`, `make "ab"`},
		"merge of one":        {`{"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}}`, "want two tokens"},
		"duplicate id":        {`{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}`, "belongs to both"},
		"unknown unk":         {`{"model":{"type":"BPE","unk_token":"x","vocab":{"a":0},"merges":[]}}`, `unk_token "x"`},
		"dropout":             {`{"model":{"type":"BPE","dropout":0.1,"vocab":{"a":0},"merges":[]}}`, "dropout"},
		"unknown normalizer":  {strings.Replace(small, "{", `{"normalizer":{"type":"Nmt"},`, 1), `normalizer type "Nmt"`},
		"unknown pattern":     {strings.Replace(small, "{", `{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"x+"},"behavior":"Isolated"},`, 1), `pattern "x+"`},
		"unknown decoder":     {strings.Replace(small, "{", `{"decoder":{"type":"CTC"},`, 1), `decoder type "CTC"`},
		"unknown processor":   {strings.Replace(small, "{", `{"post_processor":{"type":"BertProcessing"},`, 1), `post-processor type "BertProcessing"`},
		"enormous id":         {`{"model":{"type":"BPE","vocab":{"a":2000000000},"merges":[]}}`, "too large"},
		"negative id":         {`{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}`, "has id -1"},
		"component of a type": {strings.Replace(small, "{", `{"normalizer":[1],`, 1), "component"},
	} {
		path := filepath.Join(t.TempDir(), "tokenizer.json")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q and the path", name, err, c.want)
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no tokenizer.json") {
		t.Errorf("empty directory: %v", err)
	}
}

// TestSave checks that the files come back byte for byte.
func TestSave(t *testing.T) {
	text, err := os.ReadFile("testdata/tiny-gpt2.json")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Load("testdata/tiny-gpt2.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := tok.Save(dir); err != nil {
		t.Fatal(err)
	}
	back, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil || string(back) != string(text) {
		t.Errorf("saved file differs: %v", err)
	}
	again, err := Load(dir)
	if err != nil || again.Hash() != tok.Hash() {
		t.Errorf("reloaded tokenizer has another hash: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(small), "a b")
	f.Add([]byte(strings.Replace(small, "{", `{"added_tokens":[{"id":3,"content":"<x>"}],"pre_tokenizer":{"type":"ByteLevel"},`, 1)), "<x>ab")
	f.Fuzz(func(t *testing.T, text []byte, input string) {
		tok, err := parse(text, nil)
		if err != nil {
			return
		}
		if s := tok.Decode(tok.Encode(input, true), false); !utf8.ValidString(s) && utf8.Valid(text) {
			t.Errorf("decoding gives invalid UTF-8: %q", s)
		}
	})
}
