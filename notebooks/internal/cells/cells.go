// Package cells turns a Go program into a notebook, so that an example is
// written once and is both.
//
// Lines of "// %%" begin a cell of code, "// %% [markdown]" one of text, whose
// lines are comments:
//
//	// %% [markdown]
//	// # Quick start
//
//	// %%
//	import "dpolab/stdlib/dpo"
//
//	func main() {
//		defer dpo.Finish()
//
//		// %%
//		demo := dpo.Demo()
//		display.Value(demo.Train)
//	}
//
// What stands before the first cell, main's braces and the deferred Finish are
// the program's alone. A cell shows the value of its last expression, which a
// program cannot: display.Value(x) at the end of a cell is x in the notebook.
package cells

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Cell is one cell of a notebook.
type Cell struct {
	Markdown bool
	Text     string
}

const (
	mark     = "// %%"
	markText = "// %% [markdown]"
)

// Parse splits a program into cells.
func Parse(program string) ([]Cell, error) {
	var out []Cell
	var lines []string
	open, inMain := false, false
	end := func() {
		if open {
			last := &out[len(out)-1]
			last.Text = finish(lines, last.Markdown)
			if last.Text == "" {
				out = out[:len(out)-1]
			}
		}
		open, lines = false, nil
	}
	for i, line := range strings.Split(program, "\n") {
		switch {
		case line == "func main() {":
			end()
			inMain = true
			continue
		case inMain && line == "}":
			end()
			inMain = false
			continue
		}
		if inMain {
			line = strings.TrimPrefix(line, "\t")
		}
		if strings.HasPrefix(line, mark) {
			end()
			if line != mark && line != markText {
				return nil, fmt.Errorf("line %d: want %q or %q, got %q", i+1, mark, markText, line)
			}
			open = true
			out = append(out, Cell{Markdown: line == markText})
			continue
		}
		if !open {
			continue
		}
		if out[len(out)-1].Markdown && line != "" {
			text, ok := strings.CutPrefix(line, "//")
			if !ok {
				return nil, fmt.Errorf("line %d: want a comment in a cell of text, got %q", i+1, line)
			}
			line = strings.TrimPrefix(text, " ")
		}
		lines = append(lines, line)
	}
	end()
	dropDisplay(out)
	return out, nil
}

// finish joins a cell's lines, and makes what it shows its last expression.
func finish(lines []string, markdown bool) string {
	text := strings.Trim(strings.Join(lines, "\n"), "\n")
	if markdown {
		return text
	}
	at := strings.LastIndexByte(text, '\n') + 1
	if last, ok := strings.CutPrefix(text[at:], "display.Value("); ok && strings.HasSuffix(last, ")") {
		text = text[:at] + strings.TrimSuffix(last, ")")
	}
	return text
}

// dropDisplay takes the import of package display out of cells that, with their
// last expressions shown, do not need it.
func dropDisplay(cells []Cell) {
	const name = "\t\"dpolab/stdlib/display\"\n"
	for _, c := range cells {
		if !c.Markdown && strings.Contains(c.Text, "display.") {
			return
		}
	}
	for i := range cells {
		cells[i].Text = strings.Replace(cells[i].Text, name, "", 1)
	}
}

// notebook is a file of nbformat 4.5.
type notebook struct {
	Cells    []notebookCell `json:"cells"`
	Metadata map[string]any `json:"metadata"`
	Format   int            `json:"nbformat"`
	Minor    int            `json:"nbformat_minor"`
}

type notebookCell map[string]any

// Read gives the cells of a notebook file.
func Read(file []byte) ([]Cell, error) {
	var nb notebook
	if err := json.Unmarshal(file, &nb); err != nil {
		return nil, err
	}
	var out []Cell
	for _, c := range nb.Cells {
		out = append(out, Cell{c["cell_type"] == "markdown", source(c)})
	}
	return out, nil
}

// source joins the lines of a cell.
func source(c notebookCell) string {
	var b strings.Builder
	lines, _ := c["source"].([]any)
	for _, l := range lines {
		text, _ := l.(string)
		b.WriteString(text)
	}
	return b.String()
}

// Write makes a notebook file of cells. Outputs of old's cells are kept where
// the code is the same.
func Write(cells []Cell, old []byte) ([]byte, error) {
	var before notebook
	if len(old) > 0 {
		if err := json.Unmarshal(old, &before); err != nil {
			return nil, err
		}
	}
	nb := notebook{Format: 4, Minor: 5, Cells: []notebookCell{}, Metadata: map[string]any{
		"kernelspec":    map[string]any{"display_name": "Go (dpolab)", "language": "go", "name": "dpolab"},
		"language_info": map[string]any{"file_extension": ".go", "mimetype": "text/x-go", "name": "go"},
	}}
	for i, c := range cells {
		cell := notebookCell{"cell_type": "code", "id": fmt.Sprintf("cell-%02d", i), "metadata": map[string]any{}, "source": splitLines(c.Text)}
		if c.Markdown {
			cell["cell_type"] = "markdown"
		} else {
			cell["outputs"], cell["execution_count"] = []any{}, nil
			for _, b := range before.Cells {
				if b["cell_type"] == "code" && source(b) == c.Text {
					cell["outputs"], cell["execution_count"] = b["outputs"], b["execution_count"]
				}
			}
		}
		nb.Cells = append(nb.Cells, cell)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(nb); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func splitLines(text string) []string { return strings.SplitAfter(text, "\n") }
