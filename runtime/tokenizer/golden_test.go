package tokenizer

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

type hostileGolden struct {
	Strings []string
	IDs     map[string][][]int32
	Special map[string][][]int32
	Decoded map[string][]string
}

// TestHostile compares every kind of tokenizer with the Hugging Face library on
// strings that break ports.
func TestHostile(t *testing.T) {
	var g hostileGolden
	readJSON(t, "testdata/hostile.json", &g)
	if len(g.IDs) < 7 || len(g.Strings) < 50 {
		t.Fatalf("goldens hold %d tokenizers and %d strings", len(g.IDs), len(g.Strings))
	}
	for name, all := range g.IDs {
		tok, err := Load(filepath.Join("testdata", "tiny-"+name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range g.Strings {
			if got := tok.Encode(s, false); !slices.Equal(got, all[i]) {
				t.Errorf("%s: %.40q: got %v, want %v", name, s, got, all[i])
				continue
			}
			if got := tok.Encode(s, true); !slices.Equal(got, g.Special[name][i]) {
				t.Errorf("%s: %.40q with special tokens: got %v, want %v", name, s, got, g.Special[name][i])
			}
			if got := tok.Decode(all[i], true); got != g.Decoded[name][i] {
				t.Errorf("%s: decoding %.40q: got %q, want %q", name, s, got, g.Decoded[name][i])
			}
		}
	}
}

// shared finds the folder of real test data beside the repository.
func shared(t testing.TB) string {
	dir := os.Getenv("DPOLAB_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err != nil {
		t.Skipf("no real data in %s", dir)
	}
	return filepath.Join(dir, "data")
}

func hhRows(t testing.TB, dir string) []string {
	f, err := os.Open(filepath.Join(dir, "hh", "harmless-base-test.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	scan := bufio.NewScanner(z)
	scan.Buffer(nil, 1<<24)
	for scan.Scan() {
		var r struct{ Chosen, Rejected string }
		if err := json.Unmarshal(scan.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r.Chosen, r.Rejected)
	}
	return rows
}

// TestHH compares real tokenizers with the library on every row of the data.
func TestHH(t *testing.T) {
	dir := shared(t)
	var g struct {
		Hashes  map[string]string
		Hostile map[string][][]int32
	}
	readJSON(t, "testdata/hh.json", &g)
	var h hostileGolden
	readJSON(t, "testdata/hostile.json", &h)
	rows := hhRows(t, dir)
	for name, want := range g.Hashes {
		path := filepath.Join(dir, "tokenizers", name)
		tok, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		sum := fnv.New64a()
		for _, r := range rows {
			for _, id := range tok.Encode(r, false) {
				sum.Write([]byte{byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)})
			}
		}
		if got := fmt.Sprintf("%016x", sum.Sum64()); got != want {
			t.Errorf("%s: ids of the HH rows hash to %s, want %s", name, got, want)
		}
		for i, s := range h.Strings {
			if got := tok.Encode(s, false); !slices.Equal(got, g.Hostile[name][i]) {
				t.Errorf("%s: %.40q: got %v, want %v", name, s, got, g.Hostile[name][i])
			}
		}
	}
}

// BenchmarkEncode reports MB/s on HH text with the GPT-NeoX tokenizer.
func BenchmarkEncode(b *testing.B) {
	dir := shared(b)
	tok, err := Load(filepath.Join(dir, "tokenizers", "gpt-neox"))
	if err != nil {
		b.Fatal(err)
	}
	rows := hhRows(b, dir)
	n := 0
	for _, r := range rows {
		n += len(r)
	}
	b.SetBytes(int64(n))
	for b.Loop() {
		for _, r := range rows {
			tok.Encode(r, false)
		}
	}
}
