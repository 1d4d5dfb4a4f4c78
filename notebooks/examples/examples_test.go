// Package examples_test holds the example notebooks to the programs they are
// made from.
package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dpolab/notebooks/internal/cells"
)

// TestNotebooksAreThePrograms: every notebook has the cells of the program
// beside it, which compiles, and has been executed.
func TestNotebooksAreThePrograms(t *testing.T) {
	programs, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	notebooks, err := filepath.Glob("*.ipynb")
	if err != nil || len(notebooks) < 5 || len(notebooks) != len(programs)-1 { // this test is a program too
		t.Errorf("programs %v, notebooks %v", programs, notebooks)
	}
	for _, name := range notebooks {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			path := strings.TrimSuffix(name, ".ipynb") + ".go"
			program, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := cells.Read(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := cells.Parse(string(program))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("the notebook is not that of %s: run make notebooks", path)
			}
			if text := string(file); strings.Contains(text, `"execution_count": null`) || strings.Contains(text, `"output_type": "error"`) {
				t.Error("the notebook has cells that were not executed, or failed: run make notebooks")
			}
			if out, err := exec.Command("go", "vet", path).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
