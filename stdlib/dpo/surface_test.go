package dpo_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestSurfaceRunsInterpreted keeps out of the exported surface what interpreted
// code cannot use: type parameters, iterators, channels, variadic interfaces,
// interface-typed fields, and errors returned instead of raised.
func TestSurfaceRunsInterpreted(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() {
					seen++
					checkFunc(t, d)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok && s.Name.IsExported() {
						seen++
						checkType(t, s)
					}
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("%d exported names only", seen)
	}
}

// opaque reports types without a concrete form, or that need a range over them.
func opaque(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.InterfaceType, *ast.ChanType:
		return true
	case *ast.Ident:
		return e.Name == "any" || e.Name == "error"
	case *ast.SelectorExpr:
		x, ok := e.X.(*ast.Ident)
		return ok && (x.Name == "iter" || x.Name == "io" || x.Name == "context")
	case *ast.ArrayType:
		return opaque(e.Elt)
	}
	return false
}

// Functions that exist to give an error, and hosts' hooks.
var allowed = map[string]bool{"Try": true, "Unwrap": true, "Context": true, "SetContext": true, "SetOutput": true}

func checkFunc(t *testing.T, d *ast.FuncDecl) {
	t.Helper()
	if d.Type.TypeParams != nil {
		t.Errorf("%s has type parameters", d.Name)
	}
	for _, p := range d.Type.Params.List {
		if v, ok := p.Type.(*ast.Ellipsis); ok && opaque(v.Elt) {
			t.Errorf("%s takes a variadic interface", d.Name)
		} else if opaque(p.Type) && !allowed[d.Name.Name] {
			t.Errorf("%s takes an interface or a channel", d.Name)
		}
	}
	if d.Type.Results == nil || allowed[d.Name.Name] {
		return
	}
	for _, r := range d.Type.Results.List {
		if opaque(r.Type) {
			t.Errorf("%s returns an error, interface or channel", d.Name)
		}
	}
}

func checkType(t *testing.T, s *ast.TypeSpec) {
	t.Helper()
	if s.TypeParams != nil {
		t.Errorf("%s has type parameters", s.Name)
	}
	st, ok := s.Type.(*ast.StructType)
	if !ok {
		if opaque(s.Type) {
			t.Errorf("%s is an interface", s.Name)
		}
		return
	}
	for _, f := range st.Fields.List {
		for _, n := range f.Names {
			if n.IsExported() && opaque(f.Type) {
				t.Errorf("%s.%s is an interface or a channel", s.Name, n)
			}
		}
	}
}
