package symbols

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"sync"
	"testing"
)

// check type-checks a file with the embedded export data.
func check(text string) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "cell", text, 0)
	if err != nil {
		return err
	}
	cfg := types.Config{Importer: Importer(fset)}
	_, err = cfg.Check("main", fset, []*ast.File{f}, nil)
	return err
}

func TestCellsTypeCheck(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"standard library", `package main
			import ("fmt"; "net/http"; "os"; "io/fs")
			func main() {
				var f fs.FileInfo
				f, _ = os.Stat("x")
				fmt.Println(f, http.DefaultClient.Timeout.Seconds())
			}`, ""},
		{"generics and iterators", `package main
			import ("fmt"; "maps"; "slices"; "strings")
			func main() {
				for k := range slices.Values(slices.Sorted(maps.Keys(map[string]int{}))) { fmt.Println(k) }
				fmt.Println(slices.Collect(strings.SplitSeq("a,b", ",")))
			}`, ""},
		{"gonum", `package main
			import "gonum.org/v1/gonum/mat"
			var m mat.Matrix = mat.NewDense(1, 1, nil)`, ""},
		{"ours", `package main
			import "dpolab/stdlib/dpo"
			import "dpolab/runtime/fsdp"
			var p fsdp.MixedPrecision = dpo.BFloat16Mixed()`, ""},
		{"wrong type", `package main
			import "strings"
			var n int = strings.ToUpper("x")`, "cell:3:16: cannot use strings.ToUpper(\"x\") (value of type string) as int value in variable declaration"},
		{"unknown name", `package main
			import "strings"
			var n = strings.ToUper("x")`, "undefined: strings.ToUper"},
		{"misspelt", `package main
			import _ "string"`, `package "string" is not available in cells; nearest: strings`},
		{"last part alone", `package main
			import _ "rand"`, `nearest: crypto/rand, math/rand, math/rand/v2`},
		{"excluded", `package main
			import _ "unsafe"`, `package "unsafe" is not available in cells: the interpreter has no layout`},
		{"like nothing", `package main
			import _ "example.com/quux/zyzzyva"`, `package "example.com/quux/zyzzyva" is not available in cells`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := check(c.text)
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// Types are identical however they were reached, and importing from several
// goroutines is safe; the race detector sees this test too.
func TestImportersShareTypes(t *testing.T) {
	fresh := &cache{archive: newArchive(&exportData), packages: map[string]*types.Package{}}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			paths := Packages()
			for i := range paths {
				p, err := fresh.load(token.NewFileSet(), paths[(i+g*len(paths)/4)%len(paths)])
				if err != nil {
					t.Error(err)
					return
				}
				for _, name := range exported(p) {
					_ = p.Scope().Lookup(name).String()
				}
			}
		})
	}
	wg.Wait()
	http, _ := fresh.load(token.NewFileSet(), "net/http")
	io, _ := fresh.load(token.NewFileSet(), "io")
	request := http.Scope().Lookup("Request").Type().Underlying().(*types.Struct)
	for f := range request.Fields() {
		if f.Name() == "Body" && !types.Identical(f.Type(), io.Scope().Lookup("ReadCloser").Type()) {
			t.Errorf("http.Request.Body is a %v that is not the one of io", f.Type())
		}
	}
	a, err := Importer(token.NewFileSet()).Import("fmt")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Importer(token.NewFileSet()).ImportFrom("fmt", "/anywhere", 0)
	if err != nil || a != b {
		t.Errorf("two importers give two packages (error %v)", err)
	}
}

func TestDoc(t *testing.T) {
	for _, c := range []struct{ path, name, want string }{
		{"fmt", "", "Package fmt implements formatted I/O"},
		{"fmt", "Println", "Println formats using the default formats"},
		{"bytes", "Buffer.Len", "Len returns the number of bytes"},
		{"net/http", "StatusOK", "RFC 9110"},
		{"io", "EOF", "EOF is the error returned by Read"},
		{"io", "Reader", "Reader is the interface that wraps the basic Read method."},
		{"slices", "Sort", "Sort sorts a slice"},
		{"net/http", "Request.Method", "Method specifies the HTTP method"},
		{"os", "Getpid", "Getpid returns the process id"},
		{"dpolab/stdlib/dpo", "LoadModel", "LoadModel"},
		{"gonum.org/v1/gonum/stat", "Mean", "Mean computes the weighted mean"},
	} {
		if got := Doc(c.path, c.name); !strings.HasPrefix(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("Doc(%q, %q) = %q, want %q…", c.path, c.name, got, c.want)
		}
	}
	for _, c := range [][2]string{{"fmt", "Nothing"}, {"no/such", ""}, {"unsafe", ""}} {
		if got := Doc(c[0], c[1]); got != "" {
			t.Errorf("Doc(%q, %q) = %q, want none", c[0], c[1], got)
		}
	}
}

func BenchmarkImport(b *testing.B) {
	for b.Loop() {
		c := &cache{archive: newArchive(&exportData), packages: map[string]*types.Package{}}
		for _, path := range []string{"fmt", "slices", "net/http", "dpolab/stdlib/dpo"} {
			if _, err := c.load(token.NewFileSet(), path); err != nil {
				b.Fatal(err)
			}
		}
	}
}
