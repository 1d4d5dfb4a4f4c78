package repl

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPrograms runs whole programs interpreted and compiled; the output must be
// the same.
func TestPrograms(t *testing.T) {
	paths, err := filepath.Glob("testdata/programs/*.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no programs (%v)", err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimSuffix(filepath.Base(path), ".go")] = string(text)
	}
	compareAll(t, texts)
}

// compareAll runs programs interpreted and compiled; a difference shows up
// with the lines that differ.
func compareAll(t *testing.T, texts map[string]string) {
	t.Helper()
	compiled := compile(t, texts)
	for _, name := range sortedKeys(texts) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			s, err := NewSession(Options{Stdout: &got, Stderr: &got})
			if err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(30*time.Second, func() { s.Interrupt(); s.Interrupt() })
			defer timer.Stop()
			if err := s.RunFile(name+".go", texts[name]); err != nil {
				t.Error(err)
			}
			want, err := compiled(name)
			if err != nil {
				t.Error(err)
			}
			if got.String() != want {
				t.Errorf("interpreted and compiled differ:\n%s", difference(got.String(), want))
			}
			if t.Failed() {
				t.Log(texts[name])
			}
		})
	}
}

// compile builds programs into one binary, each as a package of its own, and
// returns what runs one of them.
func compile(t *testing.T, programs map[string]string) func(name string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var imports, cases strings.Builder
	for i, name := range sortedKeys(programs) {
		text := programs[name]
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		main := -1
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "main" {
				main = set.Position(f.Name.Pos()).Offset
			}
		}
		clause := set.Position(file.Name.Pos()).Offset
		if main < clause {
			t.Fatalf("%s has no function main", name)
		}
		pkg := fmt.Sprintf("p%03d", i) // as long as "main", for programs that count the letters of %T
		write(pkg+"/program.go", text[:clause]+pkg+text[clause+len("main"):main]+"Main"+text[main+len("main"):])
		fmt.Fprintf(&imports, "\t%q\n", "programs/"+pkg)
		fmt.Fprintf(&cases, "\tcase %q:\n\t\t%s.Main()\n", name, pkg)
	}
	write("go.mod", "module programs\n\ngo 1.26\n")
	write("main.go", "package main\n\nimport (\n\t\"os\"\n"+imports.String()+")\n\nfunc main() {\n\tswitch os.Args[1] {\n"+cases.String()+"\t}\n}\n")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", "programs", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(name string) (string, error) {
		var stderr bytes.Buffer
		run := exec.Command(filepath.Join(dir, "programs"), name)
		run.Stderr = &stderr
		out, err := run.Output()
		if err != nil {
			err = fmt.Errorf("compiled: %w\n%s", err, stderr.String())
		}
		for i := range len(programs) {
			pkg := fmt.Sprintf("p%03d.", i)
			for _, r := range [][2]string{{"programs/" + pkg, "main."}, {pkg, "main."}, {strings.ToUpper(pkg), "MAIN."}} {
				out = bytes.ReplaceAll(out, []byte(r[0]), []byte(r[1]))
			}
		}
		return string(out), err
	}
}

// difference shows the first lines in which two texts differ.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	var out strings.Builder
	shown := 0
	for i := 0; i < max(len(a), len(b)) && shown < 8; i++ {
		x, y := "(none)", "(none)"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			fmt.Fprintf(&out, "line %d\n  interpreted: %s\n  compiled:    %s\n", i+1, x, y)
			shown++
		}
	}
	return out.String()
}
