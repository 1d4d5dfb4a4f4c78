package main

import (
	"encoding/json"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// document returns the first paragraph of every comment on an exported name of
// a package, as JSON with sorted keys: "" for the package, "Name", and
// "Type.Name" for methods, fields and interface methods.
func document(p *pkg) ([]byte, error) {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range append(p.GoFiles, p.CgoFiles...) {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	d, err := doc.NewFromFiles(fset, files, p.ImportPath)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	put := func(name, comment string) {
		if text := paragraph(d, comment); text != "" {
			texts[name] = text
		}
	}
	put("", d.Doc)
	putValues := func(groups []*doc.Value) {
		for _, g := range groups {
			for _, s := range g.Decl.Specs {
				s := s.(*ast.ValueSpec)
				for _, n := range s.Names {
					if n.IsExported() {
						put(n.Name, first(s.Doc.Text(), s.Comment.Text(), g.Doc))
					}
				}
			}
		}
	}
	putFuncs := func(prefix string, funcs []*doc.Func) {
		for _, f := range funcs {
			put(prefix+f.Name, f.Doc)
		}
	}
	putValues(d.Consts)
	putValues(d.Vars)
	putFuncs("", d.Funcs)
	for _, t := range d.Types {
		put(t.Name, t.Doc)
		putValues(t.Consts)
		putValues(t.Vars)
		putFuncs("", t.Funcs)
		putFuncs(t.Name+".", t.Methods)
		for _, s := range t.Decl.Specs {
			for _, f := range members(s.(*ast.TypeSpec)) {
				for _, n := range f.Names {
					if n.IsExported() {
						put(t.Name+"."+n.Name, first(f.Doc.Text(), f.Comment.Text()))
					}
				}
			}
		}
	}
	return json.Marshal(texts)
}

// members returns the fields of a struct type or the methods of an interface.
func members(s *ast.TypeSpec) []*ast.Field {
	switch t := s.Type.(type) {
	case *ast.StructType:
		return t.Fields.List
	case *ast.InterfaceType:
		return t.Methods.List
	}
	return nil
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// paragraph renders the first paragraph of a comment as one line.
func paragraph(d *doc.Package, comment string) string {
	text, _, _ := strings.Cut(strings.TrimSpace(string(d.Text(comment))), "\n\n")
	return strings.Join(strings.Fields(text), " ")
}
