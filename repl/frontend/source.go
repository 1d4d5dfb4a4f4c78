package frontend

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/ast/astutil"
)

// A source is a package's generic declarations as Go text: there is no compiled
// form of them that an interpreter could call, so cells instantiate them like
// their own.
type source struct {
	decls   map[string]ast.Decl // by the name in the file, such as slices__Sort
	needs   map[string][]string // declarations that a declaration mentions; "path:name" of another package
	imports map[string]bool
}

// builtins are the built-in functions that the interpreter lacks.
const builtins = `package builtin

import "cmp"

func min[T cmp.Ordered](first T, rest ...T) T {
	for _, x := range rest {
		if x != x {
			return x
		}
		if x < first || first == x && isNegativeZero(x) {
			first = x
		}
	}
	return first
}

func max[T cmp.Ordered](first T, rest ...T) T {
	for _, x := range rest {
		if x != x {
			return x
		}
		if x > first || first == x && isNegativeZero(first) {
			first = x
		}
	}
	return first
}

func isNegativeZero[T cmp.Ordered](x T) bool {
	var zero T
	if x != zero {
		return false
	}
	switch f := any(x).(type) {
	case float64:
		return 1/f < 0
	case float32:
		return 1/f < 0
	}
	return false
}

func clearMap[M ~map[K]V, K comparable, V any](m M) {
	for k := range m {
		delete(m, k)
	}
}

func clearSlice[S ~[]E, E any](s S) {
	var zero E
	for i := range s {
		s[i] = zero
	}
}

func allocate[T any](v T) *T { return &v }
`

func sourceName(path, name string) string {
	return strings.NewReplacer("/", "_", ".", "_").Replace(path) + "__" + name
}

// source loads a package's generic declarations under names of their own.
func (s *Scope) source(path string) (*source, error) {
	if src := s.sources[path]; src != nil {
		return src, nil
	}
	text, ok := builtins, true
	if path != "builtin" {
		text, ok = s.lib.Source(path)
	}
	if !ok {
		return nil, fmt.Errorf("package %s has no source", path)
	}
	file, err := parser.ParseFile(s.Fset, "$"+path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", path, err)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: s.lib.Importer}
	pkg, err := conf.Check(path, s.Fset, []*ast.File{file}, info)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", path, err)
	}
	src := &source{decls: map[string]ast.Decl{}, needs: map[string][]string{}, imports: map[string]bool{}}
	s.sources[path] = src
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				src.add(s, info, pkg, sourceName(path, d.Name.Name), d)
			} else {
				base := sourceName(path, receiverBase(d))
				src.add(s, info, pkg, base+"."+d.Name.Name, d)
				src.needs[base] = append(src.needs[base], base+"."+d.Name.Name)
			}
		case *ast.GenDecl:
			if d.Tok != token.TYPE {
				continue
			}
			for _, spec := range d.Specs {
				ts := spec.(*ast.TypeSpec)
				src.add(s, info, pkg, sourceName(path, ts.Name.Name), &ast.GenDecl{Tok: token.TYPE, TokPos: ts.Pos(), Specs: []ast.Spec{ts}})
			}
		}
	}
	return src, nil
}

// add renames what a declaration mentions of its own package and of other
// packages, and keeps it.
func (src *source) add(s *Scope, info *types.Info, pkg *types.Package, name string, d ast.Decl) {
	astutil.Apply(d, func(c *astutil.Cursor) bool {
		switch n := c.Node().(type) {
		case *ast.IndexExpr:
			if seq := iterSequence(info, n.X, []ast.Expr{n.Index}); seq != nil {
				c.Replace(seq)
			}
		case *ast.IndexListExpr:
			if seq := iterSequence(info, n.X, n.Indices); seq != nil {
				c.Replace(seq)
			}
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			if p, ok := info.Uses[id].(*types.PkgName); ok {
				path := p.Imported().Path()
				if other, err := s.source(path); err == nil && other.decls[sourceName(path, n.Sel.Name)] != nil {
					full := sourceName(path, n.Sel.Name)
					src.needs[name] = append(src.needs[name], path+":"+full)
					c.Replace(ast.NewIdent(full))
				} else {
					id.Name = alias(path)
					src.imports[path] = true
				}
				return false
			}
		case *ast.Ident:
			obj := info.Uses[n]
			if obj == nil {
				obj = info.Defs[n]
			}
			if obj == nil || obj.Pkg() != pkg || obj.Parent() != pkg.Scope() {
				break
			}
			full := sourceName(pkg.Path(), n.Name)
			if full != name && !strings.HasPrefix(name, full+".") {
				src.needs[name] = append(src.needs[name], full)
			}
			n.Name = full
		}
		return true
	}, nil)
	src.decls[name] = d
}

// iterSequence spells a use of iter.Seq or iter.Seq2 as a function type.
func iterSequence(info *types.Info, x ast.Expr, indices []ast.Expr) ast.Expr {
	sel, ok := x.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Seq" && sel.Sel.Name != "Seq2" {
		return nil
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return nil
	}
	if p, ok := info.Uses[id].(*types.PkgName); !ok || p.Imported().Path() != "iter" {
		return nil
	}
	return sequence(indices)
}
