package symbols

import (
	"bytes"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/gcexportdata"

	"dpolab/stdlib/symbols/internal/table"
)

// exported returns the exported names of a package in order.
func exported(p *types.Package) []string {
	var names []string
	for _, n := range p.Scope().Names() {
		if token.IsExported(n) {
			names = append(names, n)
		}
	}
	return names
}

// Every exported name stands in the table, in a source, or in Missing, and in
// one of them only.
func TestTablesHoldWhatTypeChecks(t *testing.T) {
	imp := Importer(token.NewFileSet())
	for _, path := range Packages() {
		p, err := imp.Import(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if name, _ := PackageName(path); name != p.Name() || p.Path() != path {
			t.Errorf("%s: named %s, the table says %s", path, p.Name(), name)
		}
		source := map[string]bool{}
		if _, ok := Source(path); ok {
			for _, n := range exported(checkSource(t, path)) {
				source[n] = true
			}
		}
		tabled := Load(path)
		var all []string
		for n := range tabled {
			if !strings.HasPrefix(n, "_") {
				all = append(all, n)
			}
		}
		all = append(all, Missing(path)...)
		for n := range source {
			all = append(all, n)
		}
		slices.Sort(all)
		if want := exported(p); !slices.Equal(all, want) {
			t.Errorf("%s: tables, sources and Missing have %v\nthe export data has %v", path, all, want)
		}
	}
}

// A value of the table is of the kind that the export data declares.
func TestTableValues(t *testing.T) {
	imp := Importer(token.NewFileSet())
	constants := 0
	for _, path := range Packages() {
		p, err := imp.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range Load(path) {
			o := p.Scope().Lookup(strings.TrimPrefix(name, "_"))
			switch o := o.(type) {
			case *types.Func:
				if v.Kind() != reflect.Func || v.IsNil() || v.Type().NumIn() != o.Signature().Params().Len() {
					t.Errorf("%s.%s is %v, want %v", path, name, v.Type(), o.Signature())
				}
			case *types.Var:
				if !v.CanSet() {
					t.Errorf("%s.%s cannot be set", path, name)
				}
			case *types.TypeName:
				if v.Kind() != reflect.Pointer || !v.IsNil() {
					t.Errorf("%s.%s is %v, want a nil pointer", path, name, v.Type())
				}
				if strings.HasPrefix(name, "_") {
					iface := Load(path)[name[1:]].Type().Elem()
					if !v.Type().Elem().Implements(iface) {
						t.Errorf("%s.%s does not implement %v", path, name, iface)
					}
				}
			case *types.Const:
				constants++
				if c, untyped := v.Interface().(constant.Value); untyped && !constant.Compare(c, token.EQL, o.Val()) {
					t.Errorf("%s.%s = %v, want %v", path, name, c, o.Val())
				}
			default:
				t.Errorf("%s.%s has no declaration", path, name)
			}
		}
	}
	if constants < 1000 {
		t.Errorf("met %d constants", constants)
	}
}

// The packages as they compile now are those that were generated from.
func TestTablesAreFresh(t *testing.T) {
	if v := runtime.Version(); v != table.Release && !strings.HasPrefix(v, table.Release+".") {
		t.Errorf("tables are of %s, this is %s: run make generate", table.Release, v)
	}
	out, err := exec.Command("go", append([]string{"list", "-export", "-f", "{{.ImportPath}} {{.Export}}"}, Packages()...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	imp := Importer(token.NewFileSet())
	now := map[string]*types.Package{}
	seen := 0
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := gcexportdata.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := gcexportdata.Read(r, token.NewFileSet(), now, path)
		if err != nil {
			t.Fatal(err)
		}
		then, err := imp.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		if path == "syscall" {
			continue // differs between machines; what is in its table does not
		}
		has, had := exported(fresh), exported(then)
		if !slices.Equal(has, had) {
			t.Errorf("%s: exports %v, generated from %v: run make generate", path, only(has, had), only(had, has))
			continue
		}
		if !strings.HasPrefix(path, "dpolab/") {
			continue // pinned by go.mod and by the release
		}
		for _, n := range has {
			if a, b := declaration(fresh.Scope().Lookup(n)), declaration(then.Scope().Lookup(n)); a != b {
				t.Errorf("%s is declared %s\ngenerated from %s: run make generate", n, a, b)
			}
		}
	}
	if seen != len(Packages()) {
		t.Errorf("go list named %d packages, want %d", seen, len(Packages()))
	}
}

// only returns what a has and b lacks.
func only(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(n string) bool { return slices.Contains(b, n) })
}

// declaration renders an object with the methods of a type.
func declaration(o types.Object) string {
	text := types.ObjectString(o, nil)
	if c, ok := o.(*types.Const); ok {
		return text + " = " + c.Val().String()
	}
	if n, ok := types.Unalias(o.Type()).(*types.Named); ok {
		if _, named := o.(*types.TypeName); named {
			for m := range n.Methods() {
				if m.Exported() {
					text += "\n" + types.ObjectString(m, nil)
				}
			}
		}
	}
	return text
}

func TestBaseAndAll(t *testing.T) {
	base, all := Base(), All()
	for _, key := range []string{".", "fmt/fmt", "log/log", "os/os", "flag/flag", "math/bits/bits"} {
		if base[key] == nil {
			t.Errorf("Base lacks %s", key)
		}
	}
	if _, ok := base["fmt/fmt"]["Println"]; !ok {
		t.Error("Base lacks fmt.Println")
	}
	if m := base["io/io"]; !m["_Writer"].IsValid() || m["Copy"].IsValid() {
		t.Errorf("Base has %v of io, want the wrappers alone", len(m))
	}
	if got, want := len(all), len(Packages())+1; got != want {
		t.Errorf("All has %d keys, want %d", got, want)
	}
	if !all["math/rand/v2/rand"]["IntN"].IsValid() {
		t.Error("All lacks math/rand/v2.IntN")
	}
	if Load("no/such") != nil || Key("no/such") != "" || Missing("no/such") != nil {
		t.Error("a package that does not exist has a table")
	}
}

func BenchmarkBase(b *testing.B) {
	for b.Loop() {
		Base()
	}
}

func BenchmarkAll(b *testing.B) {
	for b.Loop() {
		All()
	}
}
