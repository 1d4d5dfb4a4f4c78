package repl

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocs runs what the documentation shows at the prompt, as one session per
// page, and holds the answers against it.
func TestDocs(t *testing.T) {
	for path, want := range map[string]int{"../docs/session.md": 25, "../README.md": 8} {
		t.Run(path, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cells := shownCells(string(text))
			if len(cells) < want {
				t.Fatalf("%d cells, want at least %d", len(cells), want)
			}
			var out bytes.Buffer
			s, err := NewSession(Options{Stdout: &out, Stderr: &out})
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range cells {
				out.Reset()
				if err := s.Run(fmt.Sprintf("cell %d", i+1), c.in); err != nil {
					out.WriteString(err.Error() + "\n")
				}
				if strings.HasPrefix(c.in, "tr.Steps") { // prints its progress
					continue
				}
				if out.String() != c.out {
					t.Errorf("cell %d:\n%sgot:\n%s\nwant:\n%s", i+1, c.in, out.String(), c.out)
				}
			}
		})
	}
}

// shownCells are the entries after prompts, and what is answered.
func shownCells(text string) []scriptCell {
	var out []scriptCell
	open := false
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(line, "    ")
		first, isFirst := strings.CutPrefix(line, ">>> ")
		more, isMore := strings.CutPrefix(line, "... ")
		switch {
		case isFirst:
			out, open = append(out, scriptCell{in: first}), true
		case !open:
		case isMore:
			out[len(out)-1].in += more
		case strings.HasPrefix(line, "```") || strings.TrimSpace(line) == "":
			open = false
		default:
			out[len(out)-1].out += line
		}
	}
	return out
}
