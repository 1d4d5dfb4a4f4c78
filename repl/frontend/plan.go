package frontend

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// plan finds what of earlier cells must be lowered again because the cell
// changes what it mentions. Only the outside of a declaration counts: a function
// that keeps its signature changes nothing for its callers, who reach it through
// a slot.
func (u *unit) plan() {
	changed := u.changed
	u.revive()
	for name := range u.types {
		if d := u.defs[name]; d == nil || d.kind != isType || d.shape != printed(u.types[name]) {
			changed[name] = true
		} else if !d.generic {
			u.unchangedType(name)
		}
	}
	for key, f := range u.fresh {
		base, method, isMethod := strings.Cut(key, ".")
		d := u.defs[base]
		if !isMethod {
			if d == nil || d.kind != isFunc || d.generic || f.Type.TypeParams != nil || d.shape != signature(f) {
				changed[base] = true
			}
			continue
		}
		if u.types[base] == nil && d != nil && d.kind == isType {
			if m := d.methods[method]; d.generic || m != nil && m.shape != signature(f) {
				u.renew(base)
				changed[base] = true
			}
		}
	}
	for _, g := range u.consts {
		for _, s := range g.Specs {
			for _, id := range s.(*ast.ValueSpec).Names {
				changed[id.Name] = true
			}
		}
	}
	for name := range u.defines {
		if d := u.defs[name]; d == nil || d.kind != isVar {
			changed[name] = true
		}
	}
	for name, path := range u.imports {
		if u.scope.imports[name] != path {
			changed[name] = true
			if u.scope.imports[name] == "" && u.defs[name] != nil {
				delete(u.defs, name)
			}
		}
	}
	u.spread(changed)
}

// unchangedType keeps a type that is declared again just as it was, so that its
// values and methods stay.
func (u *unit) unchangedType(name string) { delete(u.types, name) }

// renew declares a type anew because its method set changes its shape.
func (u *unit) renew(name string) {
	if g, ok := u.defs[name].decl.(*ast.GenDecl); ok && u.types[name] == nil {
		u.types[name] = g
	}
}

// spread carries a change to all that mentions it, and to what mentions that.
func (u *unit) spread(changed map[string]bool) {
	for again := true; again; {
		again = false
		for _, name := range slices.Sorted(maps.Keys(u.defs)) {
			d := u.defs[name]
			if u.changes(name) && !(d.kind == isType && u.types[name] != nil) {
				continue
			}
			if d.kind == isType {
				for m, md := range d.methods {
					key := name + "." + m
					switch {
					case !meets(md.uses, changed) || u.fresh[key] != nil:
					case md.generic:
						again = again || !changed[name]
						changed[name] = true
					case u.redone[key] == nil && u.broken[key] == "":
						u.redo(key, md)
						again = true
					}
				}
			}
			if u.changes(name) {
				continue
			}
			switch d.kind {
			case isType:
				if meets(d.sigUses, changed) && !changed[name] {
					u.renew(name)
					changed[name] = true
					again = true
				}
			case isFunc:
				if !meets(d.uses, changed) || u.redone[name] != nil || u.broken[name] != "" {
					break
				}
				if d.generic { // its instances are made anew
					again = again || !changed[name]
					changed[name] = true
					break
				}
				u.redo(name, d)
				again = true
				if meets(d.sigUses, changed) {
					changed[name] = true
				}
			}
		}
	}
	for name := range changed {
		if d := u.defs[name]; d != nil && d.kind == isType && u.types[name] != nil {
			u.retire(name)
		}
	}
}

func (u *unit) redo(key string, d *def) {
	if f, ok := d.decl.(*ast.FuncDecl); ok {
		u.redone[key] = f
	}
}

// revive lets functions that an earlier cell broke be tried again.
func (u *unit) revive() {
	for key, d := range u.scope.broken {
		if d.generic {
			continue
		}
		base, method, isMethod := strings.Cut(key, ".")
		if u.changes(base) || u.fresh[key] != nil {
			continue
		}
		touched := false
		for n := range d.uses {
			touched = touched || u.changes(n) || u.imports[n] != u.scope.imports[n]
		}
		if !touched {
			continue
		}
		if !isMethod {
			u.defs[base] = d
		} else if t := u.defs[base]; t != nil && t.methods[method] == nil {
			c := *t
			c.methods = maps.Clone(t.methods)
			if c.methods == nil {
				c.methods = map[string]*def{}
			}
			c.methods[method] = d
			u.defs[base] = &c
		} else {
			continue
		}
		u.redo(key, d)
	}
}

func meets(a, b map[string]bool) bool {
	for k := range a {
		if b[k] {
			return true
		}
	}
	return false
}

// retire keeps the old meaning of a type for the variables that still have it,
// under a name that says which cell it came from.
func (u *unit) retire(name string) {
	old := u.defs[name]
	var holders []*def
	for _, d := range u.defs {
		if d.kind == isVar && !u.changes(d.name) && d.uses[name] {
			holders = append(holders, d)
		}
	}
	if len(holders) == 0 || old.generic {
		return
	}
	kept := *old
	kept.name = name + "_" + strings.NewReplacer(" ", "", ".", "_", "/", "_", "-", "_").Replace(old.cell)
	for u.defs[kept.name] != nil || u.changes(kept.name) {
		kept.name += "_"
	}
	rename := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == name {
				id.Name = kept.name
			}
			return true
		})
	}
	g := clone(old.decl).(*ast.GenDecl)
	rename(g)
	kept.decl = g
	kept.methods = map[string]*def{}
	for m, md := range old.methods {
		c := *md
		f := clone(md.decl).(*ast.FuncDecl)
		rename(f.Recv)
		rename(f.Type)
		f.Body = nil
		c.decl = f
		kept.methods[m] = &c
	}
	u.defs[kept.name] = &kept
	for _, h := range holders {
		c := *h
		g := clone(h.decl).(*ast.GenDecl)
		rename(g.Specs[0].(*ast.ValueSpec).Type)
		c.decl = g
		c.shape = printed(g.Specs[0].(*ast.ValueSpec).Type)
		c.uses = maps.Clone(h.uses)
		delete(c.uses, name)
		c.uses[kept.name] = true
		u.defs[c.name] = &c
	}
}

// retyped finds variables that the cell gives another type, and spreads that.
func (u *unit) retyped() bool {
	changed := u.changed
	more := false
	for name := range u.defines {
		d := u.defs[name]
		if d == nil || d.kind != isVar {
			continue
		}
		obj := u.pkg.Scope().Lookup(name)
		if obj == nil {
			continue
		}
		if e, _, err := u.spell(obj.Type()); err == nil && printed(e) != d.shape && !changed[name] {
			changed[name], more = true, true
		}
	}
	before := len(u.redone) + len(u.types)
	if more {
		u.spread(changed)
	}
	return len(u.redone)+len(u.types) != before
}

// printed prints a declaration without comments and positions, to compare it.
func printed(n ast.Node) string {
	var b bytes.Buffer
	c := n
	switch d := n.(type) {
	case *ast.GenDecl:
		c = &ast.GenDecl{Tok: d.Tok, Specs: d.Specs}
	}
	if err := format.Node(&b, token.NewFileSet(), c); err != nil {
		return ""
	}
	return b.String()
}

// signature prints what callers see of a function.
func signature(f *ast.FuncDecl) string {
	t := clone(f.Type)
	t.Func = token.NoPos
	anonymous := func(l *ast.FieldList) {
		if l == nil {
			return
		}
		var out []*ast.Field
		for _, p := range l.List {
			for range max(1, len(p.Names)) {
				out = append(out, &ast.Field{Type: p.Type})
			}
		}
		l.List = out
	}
	anonymous(t.Params)
	anonymous(t.Results)
	text := printed(t)
	if f.Recv != nil && len(f.Recv.List) == 1 {
		text = types.ExprString(f.Recv.List[0].Type) + "." + text
	}
	return text
}
