package symbols

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"
)

// checkSource type-checks our source of a package under the original's path.
func checkSource(t *testing.T, path string) *types.Package {
	t.Helper()
	text, ok := Source(path)
	if !ok {
		t.Fatalf("no source of %s", path)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path+".go", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	cfg := types.Config{Importer: Importer(fset)}
	p, err := cfg.Check(path, fset, []*ast.File{f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSourcesHaveTheSignaturesOfTheOriginals(t *testing.T) {
	checked := 0
	for _, path := range Packages() {
		if _, ok := Source(path); !ok {
			continue
		}
		original, err := Importer(token.NewFileSet()).Import(path)
		if err != nil {
			t.Fatal(err)
		}
		ours := checkSource(t, path)
		if ours.Name() != original.Name() {
			t.Errorf("%s: source is of package %s, want %s", path, ours.Name(), original.Name())
		}
		for _, name := range exported(ours) {
			checked++
			got, want := ours.Scope().Lookup(name), original.Scope().Lookup(name)
			if want == nil {
				t.Errorf("%s.%s: the original has no such name", path, name)
				continue
			}
			if named, ok := got.(*types.TypeName); ok {
				compareTypes(t, path, named, want.(*types.TypeName))
			} else if g, w := types.ObjectString(got, nil), types.ObjectString(want, nil); g != w {
				t.Errorf("%s: source has %s, want %s", path, g, w)
			}
		}
	}
	if checked < 60 {
		t.Errorf("checked %d names", checked)
	}
}

// compareTypes compares what can be seen of two types: all of it, or of a
// struct without exported fields the methods.
func compareTypes(t *testing.T, path string, got, want *types.TypeName) {
	t.Helper()
	g, w := got.Type().(*types.Named), want.Type().(*types.Named)
	if _, ok := w.Underlying().(*types.Struct); !ok {
		if g, w := types.ObjectString(got, nil), types.ObjectString(want, nil); g != w {
			t.Errorf("%s: source has %s, want %s", path, g, w)
		}
	}
	if g.NumMethods() != w.NumMethods() {
		t.Errorf("%s.%s has %d methods, want %d", path, got.Name(), g.NumMethods(), w.NumMethods())
		return
	}
	methods := map[string]string{}
	for m := range w.Methods() {
		methods[m.Name()] = types.ObjectString(m, nil)
	}
	for m := range g.Methods() {
		if s := types.ObjectString(m, nil); s != methods[m.Name()] {
			t.Errorf("%s: source has %s, want %s", path, s, methods[m.Name()])
		}
	}
}

func TestSourcesAreComplete(t *testing.T) {
	for _, path := range []string{"slices", "maps", "cmp", "iter", "sync", "sync/atomic", "errors", "reflect", "math/rand/v2"} {
		if m := Missing(path); len(m) > 0 {
			t.Errorf("%s: missing %v", path, m)
		}
	}
	if _, ok := Source("strings"); ok {
		t.Error("strings has a source, but no generics")
	}
	if _, ok := Source("math"); ok {
		t.Error("a folder without files is a source")
	}
}
