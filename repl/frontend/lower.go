package frontend

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"sort"
	"strings"
)

// A Program is a cell as the interpreter runs it.
type Program struct {
	// Imports are packages to import first, alias by path.
	Imports map[string]string
	// Decls are declarations, to be evaluated in order.
	Decls []string
	// Run is the expression that runs the cell, empty if nothing is to run.
	Run string
	// Notes tell what else the cell changed, such as a function of an earlier
	// cell that no longer compiles.
	Notes []string
	// Stubs are variables of function type whose function no longer compiles,
	// and what to say when one is called.
	Stubs map[string]string
	// Shown are the types of what the cell displays, by number.
	Shown map[int][]types.Type
	// Types are those of values in boxes, and what they are asserted to.
	Types []TypeInfo
	// Titles are what users call the instances of generic declarations.
	Titles map[string]string

	commit func()
}

// Commit makes the cell's declarations part of the scope, once the interpreter
// has taken them.
func (p *Program) Commit() { p.commit() }

// Lower parses and checks a cell and turns it into what the interpreter runs.
// The scope stays as it was; Program.Commit changes it. Errors are [Errors], in
// the Go compiler's words.
func (s *Scope) Lower(name, text string) (*Program, error) {
	cell, err := Parse(s.Fset, name, text)
	if err != nil {
		return nil, err
	}
	u, err := s.newUnit(cell)
	if err != nil {
		return nil, err
	}
	u.plan()
	if err := u.settle(); err != nil {
		return nil, err
	}
	if err := u.available(); err != nil {
		return nil, err
	}
	if err := u.overflowing(); err != nil {
		return nil, err
	}
	user := &checked{pkg: u.pkg, info: u.info, file: u.file, runner: u.runner, shown: u.shown()}
	user.record(u)
	made, err := u.monomorphise()
	if err != nil {
		return nil, err
	}
	boxes, err := u.box(user.shown)
	if err != nil {
		return nil, err
	}
	e := &emitter{unit: u, user: user, running: map[types.Object]string{}, program: &Program{Imports: map[string]string{}, Shown: map[int][]types.Type{}}}
	if err := e.emit(made, boxes); err != nil {
		return nil, err
	}
	return e.program, nil
}

// checked is what the checker said of the cell as typed.
type checked struct {
	pkg    *types.Package
	info   *types.Info
	file   *ast.File
	runner *ast.FuncDecl
	shown  []types.Type
	// uses of declarations by name or "T.M".
	uses, sigUses map[string]map[string]bool
}

// settle checks until nothing is left that a check can teach: packages to
// import, former values still read, functions to lower again, and functions
// that the cell breaks.
func (u *unit) settle() error {
	for range 12 {
		u.assemble()
		u.check()
		if u.importMissing() || u.readsPrevious() || u.breaks() {
			continue
		}
		if len(u.errs) > 0 {
			return u.errors()
		}
		if !u.retyped() {
			return nil
		}
	}
	return u.errors()
}

func (u *unit) errors() error {
	var out Errors
	seen := map[string]bool{}
	for _, e := range u.errs {
		p := u.fset.Position(e.Pos)
		msg := strings.ReplaceAll(e.Msg, previousSuffix, "")
		if name, ok := strings.CutPrefix(msg, "undefined: "); ok {
			if why := u.broken[name]; why != "" {
				msg = name + " no longer compiles: " + why
			} else if why := u.scope.reasons[name]; why != "" {
				msg = name + " no longer compiles: " + why
			}
		}
		if key := fmt.Sprint(p, msg); !seen[key] {
			seen[key] = true
			out = append(out, Error{Pos: p, Msg: msg})
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].Pos.Line != out[j].Pos.Line {
			return out[i].Pos.Line < out[j].Pos.Line
		}
		return out[i].Pos.Column < out[j].Pos.Column
	})
	return out
}

// importMissing imports known packages that the cell uses without saying so.
func (u *unit) importMissing() bool {
	found := false
	for _, e := range u.errs {
		name, ok := strings.CutPrefix(e.Msg, "undefined: ")
		if !ok || u.imports[name] != "" {
			continue
		}
		if path := u.scope.wellKnown(name); path != "" && u.selects(e.Pos) {
			u.imports[name] = path
			found = true
		}
	}
	return found
}

// selects reports whether the identifier at pos is followed by a selector.
func (u *unit) selects(pos token.Pos) bool {
	found := false
	ast.Inspect(u.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.X.Pos() == pos {
			_, found = sel.X.(*ast.Ident)
		}
		return !found
	})
	return found
}

// wellKnown finds the package that a bare name most likely means: ours first,
// then the shortest path, the newest version of it.
func (s *Scope) wellKnown(name string) string {
	best := ""
	for _, path := range s.lib.Packages() {
		if n, _ := s.lib.PackageName(path); n != name {
			continue
		}
		switch {
		case best == "", strings.HasPrefix(path, "dpolab/stdlib/"):
			best = path
		case strings.HasPrefix(best, "dpolab/stdlib/"):
		case strings.HasPrefix(path, "math/rand/v2"):
			best = path
		case best == "math/rand/v2":
		case strings.Count(path, "/") < strings.Count(best, "/") || path == "text/template" || path == "crypto/rand" && best == "":
			best = path
		}
	}
	return best
}

// readsPrevious finds uses of a variable before the cell defines it: they mean
// its value from earlier cells.
func (u *unit) readsPrevious() bool {
	type use struct {
		pos  token.Pos
		name string
	}
	var uses []use
	visit := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			v, ok := u.info.Uses[id].(*types.Var)
			if !ok || v.Parent() != u.pkg.Scope() || u.defines[v.Name()] == nil {
				return true
			}
			if id.Pos() < u.defines[v.Name()].end {
				uses = append(uses, use{id.Pos(), id.Name})
			}
			return true
		})
	}
	for _, it := range u.items {
		if it.spec != nil {
			for _, v := range it.placedSpec.Values {
				visit(v)
			}
			if it.placedSpec.Type != nil {
				visit(it.placedSpec.Type)
			}
		} else if !isReassignment(it) {
			visit(it.placedStmt)
		}
	}
	found := false
	for _, us := range uses {
		old := u.defs[us.name]
		if old == nil || old.kind != isVar {
			u.errs = append([]types.Error{{Fset: u.fset, Pos: us.pos, Msg: "undefined: " + us.name}}, u.errs...)
			continue
		}
		u.previous[us.name] = true
		for _, it := range u.items {
			var n ast.Node = it.stmt
			if it.spec != nil {
				n = it.spec
			}
			ast.Inspect(n, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok && id.Pos() == us.pos && id.Name == us.name && !slices.Contains(specNames(it), id) {
					id.Name = us.name + previousSuffix
					found = true
				}
				return true
			})
		}
	}
	return found
}

func specNames(it *item) []*ast.Ident {
	if it.spec == nil {
		return nil
	}
	return it.spec.Names
}

// isReassignment tells the assignment of a temporary that a := made.
func isReassignment(it *item) bool {
	a, ok := it.stmt.(*ast.AssignStmt)
	if !ok || len(a.Rhs) != 1 {
		return false
	}
	id, ok := a.Rhs[0].(*ast.Ident)
	return ok && strings.Contains(id.Name, "__") && id.Pos() == a.Lhs[0].Pos()
}

// breaks takes functions of earlier cells that no longer compile out of the
// cell's way.
func (u *unit) breaks() bool {
	found := false
	for _, key := range slices.Sorted(maps.Keys(u.redone)) {
		f := u.redone[key]
		for _, e := range u.errs {
			if f.Pos() <= e.Pos && e.Pos < f.End() {
				u.broken[key] = fmt.Sprintf("%s: %s", u.fset.Position(e.Pos), strings.ReplaceAll(e.Msg, previousSuffix, ""))
				delete(u.redone, key)
				u.drop(key)
				found = true
				break
			}
		}
	}
	return found
}

// drop takes a declaration out of what the check sees.
func (u *unit) drop(key string) {
	base, method, isMethod := strings.Cut(key, ".")
	d := u.defs[base]
	if d == nil {
		return
	}
	if !isMethod {
		delete(u.defs, base)
		return
	}
	c := *d
	c.methods = maps.Clone(d.methods)
	delete(c.methods, method)
	u.defs[base] = &c
}

// available refuses names that type-check but have no compiled form here.
func (u *unit) available() error {
	var errs Errors
	ast.Inspect(u.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		id, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		p, ok := u.info.Uses[id].(*types.PkgName)
		if ok && slices.Contains(u.scope.lib.Missing(p.Imported().Path()), sel.Sel.Name) {
			errs = append(errs, *u.errorAt(sel.Pos(), fmt.Sprintf("%s.%s is not available in cells", p.Imported().Path(), sel.Sel.Name)))
		}
		return true
	})
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// record notes which session names every declaration of the unit uses.
func (c *checked) record(u *unit) {
	c.uses, c.sigUses = map[string]map[string]bool{}, map[string]map[string]bool{}
	collect := func(n ast.Node) map[string]bool {
		out := map[string]bool{}
		ast.Inspect(n, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if obj := u.info.Uses[id]; obj != nil && obj.Parent() == u.pkg.Scope() {
					out[obj.Name()] = true
				}
				if p, ok := u.info.Uses[id].(*types.PkgName); ok {
					out[p.Name()] = true
				}
			}
			return true
		})
		return out
	}
	for _, d := range u.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d == u.runner {
				continue
			}
			key := d.Name.Name
			c.sigUses[key] = collect(d.Type)
			if d.Recv != nil {
				key = receiverBase(d) + "." + key
				c.sigUses[key] = collect(d.Type)
			}
			c.uses[key] = collect(d)
		case *ast.GenDecl:
			if d.Tok == token.TYPE {
				name := d.Specs[0].(*ast.TypeSpec).Name.Name
				c.uses[name] = collect(d)
				delete(c.uses[name], name)
				c.sigUses[name] = c.uses[name]
			}
		}
	}
}
