package cells_test

import (
	"reflect"
	"strings"
	"testing"

	"dpolab/notebooks/internal/cells"
)

const program = `//go:build ignore

// Not a cell.
package main

// %% [markdown]
// # Title
//
// Text.

// %%
import (
	"fmt"

	"dpolab/stdlib/display"
)

func main() {
	defer dpo.Finish()

	// %%
	x := 3
	display.Value(x)

	// %% [markdown]
	//     indented

	// %%
	if x > 2 {
		fmt.Println(x)
	}

	// %%
}
`

var want = []cells.Cell{
	{Markdown: true, Text: "# Title\n\nText."},
	{Text: "import (\n\t\"fmt\"\n\n)"},
	{Text: "x := 3\nx"},
	{Markdown: true, Text: "    indented"},
	{Text: "if x > 2 {\n\tfmt.Println(x)\n}"},
}

func TestParse(t *testing.T) {
	got, err := cells.Parse(program)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	kept, err := cells.Parse(strings.Replace(program, "if x > 2 {", "display.Text(`a`)\n\tif x > 2 {", 1))
	if err != nil || !strings.Contains(kept[1].Text, "stdlib/display") {
		t.Errorf("the import of what is used is gone: %+v, %v", kept, err)
	}
	for text, want := range map[string]string{
		"// %% [text]\n":              `line 1: want "// %%" or "// %% [markdown]", got "// %% [text]"`,
		"// %% [markdown]\n// a\nb\n": `line 3: want a comment in a cell of text, got "b"`,
	} {
		if _, err := cells.Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestWrite: a notebook reads back as what it was made of, and outputs stay
// with code that has not changed.
func TestWrite(t *testing.T) {
	file, err := cells.Write(want, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cells.Read(file); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	executed := strings.Replace(string(file), `"execution_count": null,
   "id": "cell-02",
   "metadata": {},
   "outputs": []`, `"execution_count": 7,
   "id": "cell-02",
   "metadata": {},
   "outputs": ["kept"]`, 1)
	changed := append([]cells.Cell{{Text: "y := 1"}}, want...)
	again, err := cells.Write(changed, []byte(executed))
	if err != nil || strings.Count(string(again), `"kept"`) != 1 || !strings.Contains(string(again), `"execution_count": 7`) {
		t.Errorf("%s, %v", again, err)
	}
}
