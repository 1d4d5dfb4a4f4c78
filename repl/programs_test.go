package repl

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrograms runs whole programs interpreted and compiled; the output must be
// the same.
func TestPrograms(t *testing.T) {
	paths, err := filepath.Glob("testdata/programs/*.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no programs (%v)", err)
	}
	bin := t.TempDir()
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".go"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			s, err := NewSession(Options{Stdout: &got, Stderr: &got})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.RunFile(filepath.Base(path), string(text)); err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(bin, strings.TrimSuffix(filepath.Base(path), ".go"))
			if out, err := exec.Command("go", "build", "-o", program, path).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want, err := exec.Command(program).Output()
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("interpreted:\n%s\ncompiled:\n%s", got.String(), want)
			}
		})
	}
}
