package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"sort"
	"strings"

	"golang.org/x/tools/go/gcexportdata"
)

// pkg is what the go command tells of a package, and its types.
type pkg struct {
	ImportPath, Name, Dir, Export string
	GoFiles, CgoFiles             []string
	Types                         *types.Package `json:"-"`
}

// load returns the covered packages in the order of their paths.
func load(dir string) ([]*pkg, error) {
	listed, err := list(dir, nil, append(append([]string{"std"}, own...), thirdParty...))
	if err != nil {
		return nil, err
	}
	var kept []*pkg
	var wrong []error
	seen := map[string]bool{}
	imports := map[string]*types.Package{}
	for _, p := range listed {
		seen[p.ImportPath] = true
		if _, out := excluded[p.ImportPath]; out || hidden(p.ImportPath) {
			continue
		}
		if p.Types, err = read(p, imports); err != nil {
			wrong = append(wrong, err)
		}
		kept = append(kept, p)
	}
	for path := range excluded {
		if !seen[path] {
			wrong = append(wrong, fmt.Errorf("excluded package %s does not exist", path))
		}
	}
	sort.Slice(kept, func(i, j int) bool { return kept[i].ImportPath < kept[j].ImportPath })
	return kept, errors.Join(wrong...)
}

// list asks the go command for packages, which it compiles as needed.
func list(dir string, env, patterns []string) ([]*pkg, error) {
	cmd := exec.Command("go", append([]string{"list", "-export", "-json=ImportPath,Name,Dir,Export,GoFiles,CgoFiles"}, patterns...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

// read decodes the types that the compiler left of a package.
func read(p *pkg, imports map[string]*types.Package) (*types.Package, error) {
	if p.ImportPath == "unsafe" {
		return types.Unsafe, nil
	}
	f, err := os.Open(p.Export)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.ImportPath, err)
	}
	defer f.Close()
	r, err := gcexportdata.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.ImportPath, err)
	}
	return gcexportdata.Read(r, token.NewFileSet(), imports, p.ImportPath)
}

// hidden reports whether the path cannot be imported from outside.
func hidden(path string) bool {
	for _, part := range strings.Split(path, "/") {
		if part == "internal" || part == "vendor" {
			return true
		}
	}
	return false
}

// same loads a package for every architecture and returns a test for the
// objects that are declared alike on all of them.
func same(dir, path string) (func(types.Object) bool, error) {
	var scopes []*types.Scope
	for _, arch := range architectures {
		ps, err := list(dir, []string{"GOARCH=" + arch, "CGO_ENABLED=0"}, []string{path})
		if err != nil {
			return nil, err
		}
		t, err := read(ps[0], map[string]*types.Package{})
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, t.Scope())
	}
	return func(o types.Object) bool {
		want := describe(o)
		for _, s := range scopes {
			if other := s.Lookup(o.Name()); other == nil || describe(other) != want {
				return false
			}
		}
		return true
	}, nil
}

// describe renders the declaration of an object; a type may differ inside.
func describe(o types.Object) string {
	switch o := o.(type) {
	case *types.Const:
		return o.String() + " = " + o.Val().ExactString()
	case *types.TypeName:
		return "type " + o.Name()
	}
	return o.String()
}
