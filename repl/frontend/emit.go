package frontend

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/printer"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// An emitter writes a checked, generic-free unit as the declarations and the
// one function that the interpreter runs.
type emitter struct {
	unit    *unit
	user    *checked
	program *Program
	// running are the interpreter's names of package-level objects.
	running map[types.Object]string
	// slots are the functions of the unit that are lowered, by name or "T.M".
	slots map[string]*slot
	// self is the function being lowered, which calls itself without its slot.
	self     types.Object
	selfName string
	inFunc   string
	// enclosing is the signature of the function whose body is being lowered.
	enclosing *types.Signature
	helpers   map[string]string
	deferred  string // the list of deferred calls of the function being lowered
	typeIDs   map[string]int
	titles    map[string]string // of instances, as users would write them
	decls     []ast.Decl        // added by lowering
	before    []ast.Stmt        // to stand before the statement being lowered
	errs      Errors
}

// A slot is a variable through which a function is called, so that a new body
// reaches every caller.
type slot struct {
	name, impl string
	fresh      bool
	decl       *ast.FuncDecl
}

const receiverName = "recv__"

func (e *emitter) emit(made map[string]*instance, boxes *boxer) error {
	u := e.unit
	e.slots, e.helpers = map[string]*slot{}, map[string]string{}
	instances := map[string]*instance{}
	for _, in := range made {
		instances[in.name] = in
	}
	helpers := map[ast.Decl]bool{}
	for _, h := range boxes.helpers {
		helpers[h] = true
	}
	if err := e.nameObjects(instances); err != nil {
		return err
	}
	e.titles = e.unit.scope.instanceTitles(made)
	e.program.Titles = e.titles
	e.typeInfos(boxes)
	var typeDecls, slotVars, vars, funcs []ast.Decl
	var binds []ast.Stmt
	for _, d := range withoutImports(u.file.Decls) {
		if isGeneric(u, d) || d == u.runner {
			continue
		}
		if helpers[d] {
			e.expressions(d)
			funcs = append(funcs, d)
			continue
		}
		switch d := d.(type) {
		case *ast.GenDecl:
			if d.Tok != token.TYPE {
				continue
			}
			name := d.Specs[0].(*ast.TypeSpec).Name.Name
			in := instances[name]
			if isAny(u.pkg.Scope().Lookup(name)) {
				continue
			}
			if in != nil && in.ready || in == nil && u.types[name] == nil {
				continue
			}
			e.expressions(d)
			typeDecls = append(typeDecls, d)
		case *ast.FuncDecl:
			key := d.Name.Name
			if d.Recv != nil {
				key = receiverBase(d) + "." + key
			}
			base, _, _ := strings.Cut(key, ".")
			if in := instances[base]; in != nil {
				if in.ready {
					continue
				}
				if d.Recv == nil {
					e.function(d, d.Name.Name)
					funcs = append(funcs, d)
					continue
				}
				name := instanceMethod(base, d.Name.Name)
				e.slots[key] = &slot{name: name, impl: u.scope.fresh(name), fresh: true}
			}
			sl := e.slots[key]
			if sl == nil {
				continue
			}
			sl.decl = d
			e.function(d, key)
			if sl.fresh {
				slotVars = append(slotVars, slotVar(sl))
			}
			funcs = append(funcs, implementation(sl))
			binds = append(binds, assign(sl.name, sl.impl))
		}
	}
	run, err := e.run(&vars)
	if err != nil {
		return err
	}
	if len(e.errs) > 0 {
		return e.errs
	}
	typeDecls = append(typeDecls, slotVars...)
	for _, group := range [][]ast.Decl{typeDecls, vars, append(e.decls, funcs...)} {
		if text, err := printDecls(group); err != nil {
			return err
		} else if text != "" {
			e.program.Decls = append(e.program.Decls, text)
		}
	}
	if len(binds)+len(run) > 0 {
		name := u.scope.fresh("cell")
		f := &ast.FuncDecl{Name: ast.NewIdent(name), Type: &ast.FuncType{Params: &ast.FieldList{}}, Body: &ast.BlockStmt{List: append(binds, run...)}}
		text, err := printDecls([]ast.Decl{f})
		if err != nil {
			return err
		}
		e.program.Decls = append(e.program.Decls, text)
		e.program.Run = name + "()"
	}
	for _, path := range u.imports {
		e.program.Imports[path] = alias(path)
	}
	for path := range u.hidden {
		e.program.Imports[path] = alias(path)
	}
	for path := range e.program.Imports {
		if u.scope.loaded[path] {
			delete(e.program.Imports, path)
		}
	}
	e.prepareCommit(made)
	return nil
}

// nameObjects decides what the interpreter calls every package-level object.
func (e *emitter) nameObjects(instances map[string]*instance) error {
	u, s := e.unit, e.unit.scope
	for _, name := range u.pkg.Scope().Names() {
		obj := u.pkg.Scope().Lookup(name)
		if in := instances[name]; in != nil {
			e.running[obj] = in.name
			continue
		}
		if f := hostFunctions[name]; f != "" {
			e.running[obj] = hostName + "." + f
			continue
		}
		if isAny(obj) {
			e.running[obj] = "any"
			continue
		}
		d := u.defs[name]
		switch obj := obj.(type) {
		case *types.Var:
			if old, ok := strings.CutSuffix(name, previousSuffix); ok {
				e.running[obj] = u.defs[old].running
			} else if u.defines[name] == nil {
				e.running[obj] = d.running
			} else if d != nil && d.kind == isVar && !u.changed[name] {
				e.running[obj] = d.running
			} else {
				e.running[obj] = s.claim(name)
			}
		case *types.TypeName:
			if u.types[name] != nil {
				if ts := u.types[name].Specs[0].(*ast.TypeSpec); ts.TypeParams == nil {
					e.running[obj] = s.claim(name)
				}
			} else if d != nil {
				e.running[obj] = d.running
			}
		case *types.Func:
			if f := u.fresh[name]; f != nil || u.redone[name] != nil {
				if f != nil && f.Type.TypeParams != nil {
					continue
				}
				sl := &slot{impl: s.fresh(name)}
				if d != nil && d.kind == isFunc && !d.generic && !u.changed[name] && d.running != "" {
					sl.name = d.running
				} else {
					sl.name, sl.fresh = s.claim(name), true
				}
				e.slots[name] = sl
				e.running[obj] = sl.name
			} else if d != nil {
				e.running[obj] = d.running
			}
		}
	}
	for _, fs := range []map[string]*ast.FuncDecl{u.fresh, u.redone} {
		for key := range fs {
			base, method, ok := strings.Cut(key, ".")
			obj := u.pkg.Scope().Lookup(base)
			if !ok || obj == nil || e.running[obj] == "" {
				continue
			}
			sl := &slot{impl: s.fresh(base + MethodDot + method)}
			if d := u.defs[base]; d != nil && u.types[base] == nil && d.methods[method] != nil && d.methods[method].running != "" {
				sl.name = d.methods[method].running
			} else {
				sl.name, sl.fresh = s.fresh(base+MethodDot+method), true
			}
			e.slots[key] = sl
		}
	}
	return nil
}

// implementation is the function that a slot holds; a method's receiver is its
// first parameter.
func implementation(sl *slot) ast.Decl {
	f := *sl.decl
	f.Name = ast.NewIdent(sl.impl)
	f.Type = parameters(sl.decl, true)
	f.Recv, f.Doc = nil, nil
	return &f
}

// parameters is a function's type with the receiver, if any, as the first
// parameter.
func parameters(d *ast.FuncDecl, named bool) *ast.FuncType {
	t := *d.Type
	t.Func = token.NoPos
	if d.Recv == nil {
		return &t
	}
	r := d.Recv.List[0]
	list := []*ast.Field{{Type: r.Type, Names: r.Names}}
	if len(r.Names) == 0 {
		list[0].Names = []*ast.Ident{ast.NewIdent("_")}
	}
	for _, p := range d.Type.Params.List {
		if len(p.Names) == 0 {
			p = &ast.Field{Names: []*ast.Ident{ast.NewIdent("_")}, Type: p.Type}
		}
		list = append(list, p)
	}
	t.Params = &ast.FieldList{List: list}
	return &t
}

func slotVar(sl *slot) ast.Decl {
	t := parameters(sl.decl, false)
	bare := &ast.FuncType{Params: unnamed(t.Params), Results: unnamed(t.Results)}
	return &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{&ast.ValueSpec{Names: []*ast.Ident{ast.NewIdent(sl.name)}, Type: bare}}}
}

func unnamed(l *ast.FieldList) *ast.FieldList {
	if l == nil {
		return nil
	}
	out := &ast.FieldList{}
	for _, p := range l.List {
		for range max(1, len(p.Names)) {
			out.List = append(out.List, &ast.Field{Type: clone(p.Type)})
		}
	}
	return out
}

// isAny tells the names of interfaces, all of which are any to the interpreter.
func isAny(obj types.Object) bool {
	tn, ok := obj.(*types.TypeName)
	if !ok {
		return false
	}
	it, ok := types.Unalias(tn.Type()).(*types.Interface)
	return ok && it.Empty()
}

func assign(to, from string) ast.Stmt {
	return &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent(to)}, Tok: token.ASSIGN, Rhs: []ast.Expr{ast.NewIdent(from)}}
}

// printDecls prints declarations for the interpreter. An empty position table
// keeps the printer from following the user's line breaks.
func printDecls(decls []ast.Decl) (string, error) {
	var b strings.Builder
	for _, d := range decls {
		if err := (&printer.Config{Mode: printer.RawFormat}).Fprint(&b, token.NewFileSet(), withoutComments(d)); err != nil {
			return "", fmt.Errorf("frontend: %w", err)
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

func withoutComments(d ast.Decl) ast.Decl {
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			n.Doc = nil
		case *ast.GenDecl:
			n.Doc, n.Lparen = nil, token.NoPos
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		}
		return true
	})
	return d
}

// prepareCommit makes the function that enters the cell into the scope.
func (e *emitter) prepareCommit(made map[string]*instance) {
	u, s := e.unit, e.unit.scope
	stubs := map[string]string{}
	defs := maps.Clone(u.defs)
	at := func(key string) string { return u.cell.Name }
	object := func(name string) types.Object { return u.pkg.Scope().Lookup(name) }
	for name, g := range u.types {
		d := &def{name: name, kind: isType, cell: at(name), decl: g, shape: printed(g), uses: e.user.uses[name], sigUses: e.user.sigUses[name], running: e.running[object(name)]}
		d.generic = g.Specs[0].(*ast.TypeSpec).TypeParams != nil
		if old := s.defs[name]; old != nil && old.kind == isType {
			d.methods = maps.Clone(u.defs[name].methods)
		}
		if d.generic {
			s.serial++
			d.version = s.serial
		}
		defs[name] = d
	}
	update := func(key string, f *ast.FuncDecl, fresh bool) {
		base, method, isMethod := strings.Cut(key, ".")
		d := &def{name: key, kind: isFunc, cell: u.cell.Name, decl: f, shape: signature(f), uses: e.user.uses[key], sigUses: e.user.sigUses[key]}
		if sl := e.slots[key]; sl != nil {
			d.running = sl.name
		}
		d.generic = f.Type.TypeParams != nil
		if !isMethod {
			if old := u.defs[base]; !fresh && old != nil {
				d.cell = old.cell
			}
			if d.generic {
				s.serial++
				d.version = s.serial
			}
			defs[base] = d
			return
		}
		t := defs[base]
		if t == nil {
			return
		}
		d.generic = t.generic
		c := *t
		c.methods = maps.Clone(t.methods)
		if c.methods == nil {
			c.methods = map[string]*def{}
		}
		if old := c.methods[method]; !fresh && old != nil {
			d.cell = old.cell
		}
		c.methods[method] = d
		defs[base] = &c
	}
	for key, f := range u.redone {
		update(key, f, false)
	}
	for key, f := range u.fresh {
		if key != "_" && key != "init" {
			update(key, f, true)
		}
	}
	for name := range u.defines {
		if obj := e.user.pkg.Scope().Lookup(name); obj != nil && name != "_" {
			t, _, err := u.spellAt(e.user.pkg, obj.Type())
			if err != nil {
				continue
			}
			d := &def{name: name, kind: isVar, cell: u.cell.Name, running: e.running[object(name)], shape: printed(t), uses: map[string]bool{},
				decl: &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{&ast.ValueSpec{Names: []*ast.Ident{ast.NewIdent(name)}, Type: t}}}}
			for _, n := range identifiers(t) {
				d.uses[n] = true
			}
			if !strings.Contains(name, "__") {
				defs[name] = d
			}
		}
	}
	for _, g := range u.consts {
		for _, spec := range g.Specs {
			for _, id := range spec.(*ast.ValueSpec).Names {
				if c, ok := e.user.pkg.Scope().Lookup(id.Name).(*types.Const); ok {
					defs[id.Name] = u.constantDef(e.user.pkg, c)
				}
			}
		}
	}
	for key, why := range u.broken {
		base, method, isMethod := strings.Cut(key, ".")
		old := s.defs[base]
		if old != nil && isMethod {
			old = old.methods[method]
		}
		if old == nil {
			old = s.broken[key]
		}
		if old == nil {
			continue
		}
		if old.running != "" {
			stubs[old.running] = fmt.Sprintf("%s no longer compiles: %s", key, why)
		}
		if s.reasons[key] != why {
			e.program.Notes = append(e.program.Notes, fmt.Sprintf("%s no longer compiles: %s", key, why))
		}
	}
	slices.Sort(e.program.Notes)
	e.program.Stubs = stubs
	e.program.commit = func() {
		for key, why := range u.broken {
			base, method, isMethod := strings.Cut(key, ".")
			old := s.defs[base]
			if old != nil && isMethod {
				old = old.methods[method]
			}
			if old != nil {
				s.broken[key] = old
			}
			s.reasons[key] = why
		}
		for key := range u.redone {
			delete(s.broken, key)
			delete(s.reasons, key)
		}
		for key := range u.fresh {
			delete(s.broken, key)
			delete(s.reasons, key)
		}
		s.defs = defs
		for name := range u.imports {
			if defs[name] != nil {
				delete(u.imports, name)
			}
		}
		s.imports, s.hidden = u.imports, u.hidden
		s.typeIDs = e.typeIDs
		for path := range e.program.Imports {
			s.loaded[path] = true
		}
		for key, in := range s.instances {
			if meets(in.uses, u.changed) {
				delete(s.instances, key)
			}
		}
		for key, in := range made {
			in.ready = true
			if name, args, ok := strings.Cut(key, "!"); ok { // now it has a version
				name, _, _ = strings.Cut(name, "@")
				key = fmt.Sprintf("%s@%d%s", name, defs[name].version, args)
			}
			s.instances[key] = in
		}
		s.last = e.user.pkg
	}
}

// spellAt is spell for types of an earlier check of the same unit.
func (u *unit) spellAt(pkg *types.Package, t types.Type) (ast.Expr, string, error) {
	now := u.pkg
	u.pkg = pkg
	defer func() { u.pkg = now }()
	return u.spell(t)
}

// constantDef keeps a constant by its value.
func (u *unit) constantDef(pkg *types.Package, c *types.Const) *def {
	spec := &ast.ValueSpec{Names: []*ast.Ident{ast.NewIdent(c.Name())}, Values: []ast.Expr{constantLiteral(c.Val(), c.Type())}}
	uses := map[string]bool{}
	if b, ok := c.Type().(*types.Basic); !ok || b.Info()&types.IsUntyped == 0 {
		if t, _, err := u.spellAt(pkg, c.Type()); err == nil {
			spec.Type = t
			for _, n := range identifiers(t) {
				uses[n] = true
			}
		}
	}
	return &def{name: c.Name(), kind: isConst, cell: u.cell.Name, uses: uses, sigUses: uses, decl: &ast.GenDecl{Tok: token.CONST, Specs: []ast.Spec{spec}}}
}

// constantLiteral writes a constant's value exactly.
func constantLiteral(v constant.Value, t types.Type) ast.Expr {
	lit := func(k token.Token, text string) ast.Expr {
		if strings.HasPrefix(text, "-") || strings.Contains(text, "/") {
			return &ast.ParenExpr{X: &ast.BasicLit{Kind: k, Value: text}}
		}
		return &ast.BasicLit{Kind: k, Value: text}
	}
	switch v.Kind() {
	case constant.Bool:
		return ast.NewIdent(v.String())
	case constant.String:
		return lit(token.STRING, v.ExactString())
	case constant.Int, constant.Float:
		b, _ := t.Underlying().(*types.Basic)
		if b != nil && b.Kind() == types.UntypedRune {
			if n, ok := constant.Int64Val(constant.ToInt(v)); ok {
				return lit(token.CHAR, fmt.Sprintf("%q", rune(n)))
			}
		}
		if b != nil && b.Info()&types.IsFloat != 0 {
			return lit(token.FLOAT, floatText(v))
		}
		return lit(token.INT, constant.ToInt(v).ExactString())
	case constant.Complex:
		return &ast.ParenExpr{X: &ast.BinaryExpr{X: lit(token.FLOAT, floatText(constant.Real(v))), Op: token.ADD, Y: lit(token.IMAG, floatText(constant.Imag(v))+"i")}}
	}
	return ast.NewIdent("nil")
}

func floatText(v constant.Value) string {
	text := constant.ToFloat(v).ExactString()
	if num, den, ok := strings.Cut(text, "/"); ok {
		if f, exact := constant.Float64Val(v); exact || len(text) > 400 {
			return withPoint(fmt.Sprintf("%g", f))
		}
		return num + ".0/" + den + ".0"
	}
	if len(text) > 300 {
		f, _ := constant.Float64Val(v)
		return withPoint(fmt.Sprintf("%g", f))
	}
	return text + ".0"
}

func withPoint(text string) string {
	if strings.ContainsAny(text, ".e") {
		return text
	}
	return text + ".0"
}
