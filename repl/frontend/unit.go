package frontend

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// A unit is one cell with all that it touches, as one Go package: what the
// session has declared and the cell does not change stands there without
// bodies, so a check costs little however long the session is.
type unit struct {
	scope *Scope
	cell  *Cell
	// imports in effect: the session's and the cell's.
	imports map[string]string
	// hidden are the packages that only their alias names.
	hidden map[string]bool
	// defs is the session as the cell will leave it; nothing of the scope itself
	// changes before the interpreter has taken the cell.
	defs map[string]*def
	// fresh are the declarations of the cell, redone those of earlier cells
	// that must be lowered again, by name; a method is "T.M".
	fresh, redone map[string]*ast.FuncDecl
	types         map[string]*ast.GenDecl
	consts        []*ast.GenDecl
	// items run, in order.
	items []*item
	// defines maps a variable of the cell to the item that defines it.
	defines map[string]*item
	// previous are variables whose former value the cell still reads.
	previous map[string]bool
	// changed are names whose meaning to others the cell changes.
	changed map[string]bool
	// broken are functions of earlier cells that no longer compile, and why.
	broken map[string]string

	fset   *token.FileSet
	file   *ast.File
	runner *ast.FuncDecl
	pkg    *types.Package
	info   *types.Info
	errs   []types.Error
}

// An item is one step of a cell: a variable's definition or a statement.
type item struct {
	spec *ast.ValueSpec // its names stand at package level
	stmt ast.Stmt
	// show is set for the expression that a cell ends with.
	show     bool
	pos, end token.Pos
	// the copies that were checked.
	placedSpec *ast.ValueSpec
	placedStmt ast.Stmt
}

func (s *Scope) newUnit(cell *Cell) (*unit, error) {
	u := &unit{
		scope: s, cell: cell, fset: s.Fset, imports: maps.Clone(s.imports), hidden: maps.Clone(s.hidden), defs: maps.Clone(s.defs), broken: map[string]string{},
		redone: map[string]*ast.FuncDecl{}, changed: map[string]bool{},
		fresh: map[string]*ast.FuncDecl{}, types: map[string]*ast.GenDecl{},
		defines: map[string]*item{}, previous: map[string]bool{},
	}
	for _, spec := range cell.Imports {
		if err := u.addImport(spec); err != nil {
			return nil, err
		}
	}
	var errs Errors
	for i, part := range cell.Parts {
		if err := u.addPart(part, i == len(cell.Parts)-1); err != nil {
			errs = append(errs, *err)
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return u, nil
}

func (u *unit) errorAt(pos token.Pos, msg string) *Error {
	return &Error{Pos: u.fset.Position(pos), Msg: msg}
}

func (u *unit) addImport(spec *ast.ImportSpec) error {
	path := strings.Trim(spec.Path.Value, "\"`")
	name, ok := u.scope.lib.PackageName(path)
	if !ok {
		if _, err := u.scope.lib.Importer.Import(path); err != nil {
			return Errors{*u.errorAt(spec.Path.Pos(), err.Error())}
		}
		return Errors{*u.errorAt(spec.Path.Pos(), "package "+path+" is not available in cells")}
	}
	if spec.Name != nil {
		switch spec.Name.Name {
		case "_":
			return nil
		case ".":
			return Errors{*u.errorAt(spec.Pos(), "dot imports are not supported in cells: write "+name+".Name")}
		}
		name = spec.Name.Name
	}
	u.imports[name] = path
	return nil
}

// addPart sorts one declaration or statement into the unit.
func (u *unit) addPart(part Part, last bool) *Error {
	if part.Stmt != nil {
		return u.addStmt(part.Stmt, last)
	}
	switch d := part.Decl.(type) {
	case *ast.FuncDecl:
		if d.Name.Name == "init" && d.Recv == nil {
			return u.addInit(d)
		}
		key := d.Name.Name
		if d.Recv != nil {
			base := receiverBase(d)
			if base == "" {
				return u.errorAt(d.Recv.Pos(), "invalid receiver type")
			}
			key = base + "." + key
		}
		if _, twice := u.fresh[key]; twice && key != "_" {
			return u.errorAt(d.Name.Pos(), key+" redeclared in this cell")
		}
		u.fresh[key] = d
	case *ast.GenDecl:
		switch d.Tok {
		case token.CONST:
			u.consts = append(u.consts, d)
		case token.TYPE:
			for _, s := range d.Specs {
				ts := s.(*ast.TypeSpec)
				if _, twice := u.types[ts.Name.Name]; twice {
					return u.errorAt(ts.Name.Pos(), ts.Name.Name+" redeclared in this cell")
				}
				doc := ts.Doc
				if doc == nil {
					doc = d.Doc
				}
				u.types[ts.Name.Name] = &ast.GenDecl{Doc: doc, TokPos: ts.Pos(), Tok: token.TYPE, Specs: []ast.Spec{ts}}
			}
		case token.VAR:
			for _, s := range d.Specs {
				if err := u.define(s.(*ast.ValueSpec), false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// addInit has an init function called before the cell's statements.
func (u *unit) addInit(d *ast.FuncDecl) *Error {
	f := clone(d)
	f.Name.Name = u.scope.fresh("init")
	u.fresh[f.Name.Name] = f
	call := &ast.ExprStmt{X: &ast.CallExpr{Fun: &ast.Ident{NamePos: d.Name.Pos(), Name: f.Name.Name}}}
	u.items = append(u.items, &item{stmt: call, pos: d.Pos(), end: d.End()})
	return nil
}

func (u *unit) addStmt(st ast.Stmt, last bool) *Error {
	if a, ok := st.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
		spec := &ast.ValueSpec{Values: a.Rhs}
		for _, l := range a.Lhs {
			id, ok := l.(*ast.Ident)
			if !ok {
				return u.errorAt(l.Pos(), "non-name on left side of :=")
			}
			spec.Names = append(spec.Names, id)
		}
		return u.define(spec, true)
	}
	it := &item{stmt: st, pos: st.Pos(), end: st.End()}
	_, it.show = st.(*ast.ExprStmt)
	it.show = it.show && last
	u.items = append(u.items, it)
	return nil
}

// define adds a variable definition. Names that the cell has defined already
// are assigned, if the definition is a := with a new name beside them.
func (u *unit) define(spec *ast.ValueSpec, short bool) *Error {
	it := &item{spec: spec, pos: spec.Pos(), end: spec.End()}
	fresh := 0
	var again []int
	for i, id := range spec.Names {
		switch {
		case id.Name == "_":
		case u.defines[id.Name] != nil:
			again = append(again, i)
		default:
			u.defines[id.Name] = it
			fresh++
		}
	}
	if !short && len(again) > 0 {
		return u.errorAt(spec.Names[again[0]].Pos(), spec.Names[again[0]].Name+" redeclared in this cell")
	}
	if short && fresh == 0 {
		return u.errorAt(spec.Pos(), "no new variables on left side of :=")
	}
	u.items = append(u.items, it)
	for _, i := range again {
		old := spec.Names[i]
		tmp := &ast.Ident{NamePos: old.NamePos, Name: u.scope.fresh(old.Name)}
		spec.Names[i] = tmp
		u.defines[tmp.Name] = it
		u.items = append(u.items, &item{pos: it.pos, end: it.end, stmt: &ast.AssignStmt{
			Lhs: []ast.Expr{old}, Tok: token.ASSIGN, TokPos: old.NamePos, Rhs: []ast.Expr{&ast.Ident{NamePos: old.NamePos, Name: tmp.Name}}}})
	}
	return nil
}

// receiverBase is the name of the type that a method belongs to.
func receiverBase(d *ast.FuncDecl) string {
	if len(d.Recv.List) != 1 {
		return ""
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// changes reports whether the cell declares the name.
func (u *unit) changes(name string) bool {
	if u.fresh[name] != nil || u.types[name] != nil || u.defines[name] != nil {
		return true
	}
	for _, g := range u.consts {
		for _, s := range g.Specs {
			for _, id := range s.(*ast.ValueSpec).Names {
				if id.Name == name {
					return true
				}
			}
		}
	}
	return false
}

// assemble lays the unit out as a file of clones, ready for a check.
func (u *unit) assemble() {
	var decls []ast.Decl
	for _, name := range slices.Sorted(maps.Keys(u.defs)) {
		d := u.defs[name]
		if u.previous[name] && d.kind == isVar {
			g := clone(d.decl).(*ast.GenDecl)
			g.Specs[0].(*ast.ValueSpec).Names[0].Name = name + previousSuffix
			decls = append(decls, g)
		}
		if u.changes(name) {
			if d.kind == isType && u.types[name] != nil {
				decls = append(decls, u.carriedMethods(d)...)
			}
			continue
		}
		if f := u.redone[name]; f != nil {
			decls = append(decls, clone(f))
		} else {
			decls = append(decls, stripped(d))
		}
		for _, m := range slices.Sorted(maps.Keys(d.methods)) {
			key := name + "." + m
			switch {
			case u.fresh[key] != nil:
			case u.redone[key] != nil:
				decls = append(decls, clone(u.redone[key]))
			default:
				decls = append(decls, stripped(d.methods[m]))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.types)) {
		decls = append(decls, clone(u.types[name]))
	}
	for _, g := range u.consts {
		decls = append(decls, clone(g))
	}
	for _, key := range slices.Sorted(maps.Keys(u.fresh)) {
		decls = append(decls, clone(u.fresh[key]))
	}
	body := &ast.BlockStmt{}
	for _, it := range u.items {
		if it.spec != nil {
			it.placedSpec = clone(it.spec)
			decls = append(decls, &ast.GenDecl{Tok: token.VAR, TokPos: it.pos, Specs: []ast.Spec{it.placedSpec}})
		} else {
			it.placedStmt = clone(it.stmt)
			body.List = append(body.List, it.placedStmt)
		}
	}
	u.runner = &ast.FuncDecl{Name: ast.NewIdent("_"), Type: &ast.FuncType{Params: &ast.FieldList{}}, Body: body}
	if len(u.items) > 0 {
		u.runner.Type.Func = u.items[0].pos
		body.Lbrace = u.items[0].pos
		body.Rbrace = u.items[len(u.items)-1].end
	}
	decls = append(decls, u.runner)
	u.layOut(decls)
}

// carriedMethods are those of a type that the cell declares anew, which go over
// to the new type.
func (u *unit) carriedMethods(d *def) []ast.Decl {
	var out []ast.Decl
	for _, m := range slices.Sorted(maps.Keys(d.methods)) {
		key := d.name + "." + m
		if u.fresh[key] == nil {
			f := d.methods[m].decl.(*ast.FuncDecl)
			u.redone[key] = f
			out = append(out, clone(f))
		}
	}
	return out
}

// previousSuffix marks the variable that a cell is about to replace.
const previousSuffix = "__previous"

// stripped is a declaration without what only its own lowering needs.
func stripped(d *def) ast.Decl {
	if f, ok := d.decl.(*ast.FuncDecl); ok && !d.generic {
		sig := &ast.FuncDecl{Recv: f.Recv, Name: f.Name, Type: f.Type}
		return clone(sig)
	}
	return clone(d.decl)
}

// layOut puts imports before the declarations.
func (u *unit) layOut(decls []ast.Decl) {
	var specs []ast.Spec
	taken := map[string]bool{}
	add := func(name, path string) {
		if !taken[name] {
			taken[name] = true
			specs = append(specs, &ast.ImportSpec{Name: ast.NewIdent(name), Path: &ast.BasicLit{Kind: token.STRING, Value: "\"" + path + "\""}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.imports)) {
		if !u.changes(name) {
			add(name, u.imports[name])
		}
		add(alias(u.imports[name]), u.imports[name])
	}
	for _, path := range slices.Sorted(maps.Keys(u.hidden)) {
		add(alias(path), path)
	}
	file := &ast.File{Name: ast.NewIdent("main")}
	if len(specs) > 0 {
		file.Decls = append(file.Decls, &ast.GenDecl{Tok: token.IMPORT, Lparen: 1, Specs: specs})
	}
	file.Decls = append(file.Decls, decls...)
	u.file = file
}

// check runs go/types over the laid-out file.
func (u *unit) check() {
	u.errs = nil
	u.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Instances: map[*ast.Ident]types.Instance{}, Defs: map[*ast.Ident]types.Object{},
		Uses: map[*ast.Ident]types.Object{}, Implicits: map[ast.Node]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		Scopes: map[ast.Node]*types.Scope{},
	}
	conf := types.Config{Importer: u.scope.lib.Importer, Error: func(err error) {
		if e, ok := err.(types.Error); ok && !harmless(e) && !u.displayed(e) {
			u.errs = append(u.errs, e)
		}
	}}
	u.pkg, _ = conf.Check("main", u.fset, []*ast.File{u.file}, u.info)
}

// displayed reports whether the error only says that the expression a cell ends
// with is not used; it is displayed.
func (u *unit) displayed(e types.Error) bool {
	if len(u.items) == 0 {
		return false
	}
	it := u.items[len(u.items)-1]
	return it.show && e.Pos >= it.pos && e.Pos < it.end && strings.HasSuffix(e.Msg, "is not used")
}

// harmless errors are rules that make no sense in a session: nothing need be
// used at once, and a definition runs after the functions it calls exist.
func harmless(e types.Error) bool {
	return strings.HasSuffix(e.Msg, "imported and not used") || strings.Contains(e.Msg, "imported as ") && strings.HasSuffix(e.Msg, "and not used") ||
		strings.HasPrefix(e.Msg, "declared and not used") || strings.HasPrefix(e.Msg, "initialization cycle") ||
		strings.HasPrefix(e.Msg, "\t") || strings.HasPrefix(e.Msg, "label ") && strings.HasSuffix(e.Msg, "declared and not used")
}

// spell parses a type printed with aliases for packages into syntax.
func (u *unit) spell(t types.Type) (ast.Expr, string, error) {
	text := types.TypeString(t, func(p *types.Package) string {
		if p == u.pkg || p.Path() == "main" {
			return ""
		}
		u.hidden[p.Path()] = true
		return alias(p.Path())
	})
	e, err := parser.ParseExprFrom(u.fset, "", text, parser.SkipObjectResolution)
	return e, text, err
}
