package repl

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "dpolab/kernels/cpu"
)

var update = flag.Bool("update", false, "write the output that cells give into their scripts")

// TestMain keeps the test binary's flags from cells, which would take them for
// settings.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Args = os.Args[:1]
	os.Exit(m.Run())
}

// TestCells runs the scripts of testdata/cells. A script is cells, each headed
// by a line of "--- in" and followed by "--- out" and what it prints, values
// and errors included.
func TestCells(t *testing.T) {
	paths, err := filepath.Glob("testdata/cells/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts (%v)", err)
	}
	count := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		count += len(parseScript(string(text)))
	}
	if count < 150 {
		t.Errorf("%d cells in the scripts, want at least 150", count)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cells := parseScript(string(text))
			var out bytes.Buffer
			s, err := NewSession(Options{Stdout: &out, Stderr: &out})
			if err != nil {
				t.Fatal(err)
			}
			var rewritten strings.Builder
			for i, c := range cells {
				out.Reset()
				if err := s.Run(fmt.Sprintf("cell %d", i+1), c.in); err != nil {
					out.WriteString(err.Error() + "\n")
				}
				if got := out.String(); got != c.out && !*update {
					t.Errorf("cell %d:\n%s\ngot:\n%s\nwant:\n%s", i+1, c.in, got, c.out)
				}
				rewritten.WriteString("--- in\n" + c.in + "--- out\n" + out.String())
			}
			if *update {
				if err := os.WriteFile(path, []byte(rewritten.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type scriptCell struct{ in, out string }

func parseScript(text string) []scriptCell {
	var out []scriptCell
	into := ""
	for line := range strings.Lines(text) {
		switch strings.TrimSuffix(line, "\n") {
		case "--- in":
			out = append(out, scriptCell{})
			into = "in"
			continue
		case "--- out":
			into = "out"
			continue
		}
		if len(out) == 0 {
			continue
		}
		if c := &out[len(out)-1]; into == "in" {
			c.in += line
		} else {
			c.out += line
		}
	}
	return out
}
