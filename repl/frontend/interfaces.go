package frontend

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ast/astutil"
)

// The interpreter has no sound form of an interface value that holds a type of
// the session: it forgets names and methods, takes N for int, and panics where
// two such values meet. So cells do not leave it any. A value of a session's
// type becomes a box where Go converts it to an interface, a compiled value that
// knows its type's number; interfaces of the session become any; and methods
// called through them, assertions, comparisons and type switches become calls of
// the host, which knows every type's methods.
//
// boxer is the pass that does it, on the checked unit, before anything else is
// lowered. What it leaves is checked again.
type boxer struct {
	unit *unit
	info *types.Info
	// numbers are the literals to be filled with a type's number, once the
	// interpreter's names are known.
	numbers []typeNumber
	helpers []*ast.FuncDecl
	named   map[string]string // helper by what it does and its type
	results []*types.Signature
	boxed   map[ast.Expr]bool // made here, and of an interface type
	before  *types.Package    // as checked before the pass
	err     error
}

type typeNumber struct {
	lit *ast.BasicLit
	t   types.Type
}

// Host functions as a unit sees them.
const hostSource = `
func box__(id int, v any) any
func open__(v any) any
func raw__(v any) any
func unbox__(id int, v any, to any) bool
func assert__(id int, v any, to any)
func implements__(id int, v any) bool
func require__(id int, v any) any
func wrap__(id int, v any) any
func method__(v any, name string) any
func equal__(a, b any) bool
func errorAs__(err error, id int, target any) bool
func panicValue__(v any) any
`

// hostFunctions are the same in the host package.
var hostFunctions = map[string]string{
	"box__": "Box", "open__": "Open", "raw__": "Raw", "unbox__": "Unbox", "assert__": "Assert", "implements__": "Implements",
	"require__": "Require", "wrap__": "Wrap", "method__": "Method", "equal__": "Equal", "errorAs__": "ErrorAs",
	"panicValue__": "PanicValue",
}

// box rewrites the unit and checks the result.
func (u *unit) box(shown []types.Type) (*boxer, error) {
	b := &boxer{unit: u, info: u.info, before: u.pkg, named: map[string]string{}, boxed: map[ast.Expr]bool{}}
	var decls []ast.Decl
	for _, d := range withoutImports(u.file.Decls) {
		if isGeneric(u, d) {
			continue
		}
		decls = append(decls, astutil.Apply(d, b.enter, b.leave).(ast.Decl))
		if b.err != nil {
			return nil, b.err
		}
	}
	at := 0
	for _, it := range u.items {
		if it.spec == nil {
			it.placedStmt = u.runner.Body.List[at]
			at++
		}
	}
	b.show(shown)
	for _, h := range b.helpers {
		decls = append(decls, h)
	}
	u.layOut(append(decls, hostDecls(u.fset)...))
	u.check()
	if len(u.errs) > 0 {
		return nil, u.internal("interfaces")
	}
	return b, nil
}

func (b *boxer) enter(c *astutil.Cursor) bool {
	switch n := c.Node().(type) {
	case *ast.FuncDecl:
		obj := b.info.Defs[n.Name]
		sig := &types.Signature{}
		if obj != nil {
			sig = obj.Type().(*types.Signature)
		}
		b.results = append(b.results, sig)
	case *ast.FuncLit:
		sig, _ := b.info.TypeOf(n).(*types.Signature)
		b.results = append(b.results, sig)
	}
	return b.err == nil
}

// leave rewrites a node whose parts are done.
func (b *boxer) leave(c *astutil.Cursor) bool {
	switch n := c.Node().(type) {
	case *ast.FuncDecl, *ast.FuncLit:
		b.results = b.results[:len(b.results)-1]
	case *ast.GenDecl:
		b.interfaceDecl(n)
	case *ast.InterfaceType:
		if it, ok := b.info.TypeOf(n).(*types.Interface); ok && it.NumMethods() > 0 && it.IsMethodSet() {
			c.Replace(b.typed(&ast.Ident{NamePos: n.Pos(), Name: "any"}, it))
		}
	case *ast.StructType:
		b.structType(n)
	case *ast.CallExpr:
		b.call(c, n)
	case *ast.SelectorExpr:
		b.selector(c, n)
	case *ast.TypeAssertExpr:
		b.assertion(c, n)
	case *ast.TypeSwitchStmt:
		b.typeSwitch(c, n)
	case *ast.SwitchStmt:
		b.valueSwitch(c, n)
	case *ast.LabeledStmt:
		b.labelled(n)
	case *ast.BinaryExpr:
		b.comparison(c, n)
	case *ast.AssignStmt:
		b.assignment(n)
	case *ast.ValueSpec:
		b.valueSpec(n)
	case *ast.ReturnStmt:
		b.returns(n)
	case *ast.CompositeLit:
		b.composite(n)
	case *ast.SendStmt:
		if ch, ok := b.under(n.Chan).(*types.Chan); ok {
			n.Value = b.convert(n.Value, ch.Elem())
		}
	case *ast.IndexExpr:
		if m, ok := b.under(n.X).(*types.Map); ok {
			n.Index = b.convert(n.Index, m.Key())
		}
	case *ast.RangeStmt:
		b.rangeAssign(n)
	}
	return b.err == nil
}

// show boxes what the cell displays, so that it is known by its own type.
func (b *boxer) show(shown []types.Type) {
	if len(shown) == 0 {
		return
	}
	st, ok := b.unit.items[len(b.unit.items)-1].placedStmt.(*ast.ExprStmt)
	if !ok {
		return
	}
	if len(shown) == 1 {
		if !types.IsInterface(shown[0]) {
			st.X = b.convert(st.X, anyType)
		}
		return
	}
	if tuple := b.several(st.X, len(shown)); tuple != nil {
		targets := make([]types.Type, len(shown))
		for i, t := range shown {
			if !types.IsInterface(t) {
				targets[i] = anyType
			}
		}
		st.X = b.tuple(st.X, tuple, targets)
	}
}

func (b *boxer) under(x ast.Expr) types.Type {
	if t := b.info.TypeOf(x); t != nil {
		return t.Underlying()
	}
	return nil
}

// typed notes the type of a node made here.
func (b *boxer) typed(x ast.Expr, t types.Type) ast.Expr {
	b.info.Types[x] = types.TypeAndValue{Type: t}
	return x
}

var anyType = types.Universe.Lookup("any").Type()

// isSession tells the interfaces with methods that the session or a cell's own
// type literal declares; cells run with any in their place.
func isSessionInterface(t types.Type) bool {
	t = types.Unalias(t)
	it, ok := t.Underlying().(*types.Interface)
	if !ok || it.NumMethods() == 0 {
		return false
	}
	n, ok := t.(*types.Named)
	return !ok || inSession(n)
}

// isCompiledInterface tells the interfaces with methods of compiled packages.
func isCompiledInterface(t types.Type) bool {
	it, ok := t.Underlying().(*types.Interface)
	return ok && it.NumMethods() > 0 && !isSessionInterface(t)
}

func inSession(n *types.Named) bool {
	p := n.Obj().Pkg()
	return p != nil && p.Path() == "main"
}

// mentions tells the types that reflection alone does not know: those with a
// type of the session in them, and structs with fields that it would show under
// the interpreter's names.
func mentions(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		return inSession(t) && (!types.IsInterface(t) || isSessionInterface(t))
	case *types.Interface:
		return t.NumMethods() > 0
	case *types.Pointer:
		return mentions(t.Elem())
	case *types.Slice:
		return mentions(t.Elem())
	case *types.Array:
		return mentions(t.Elem())
	case *types.Chan:
		return mentions(t.Elem())
	case *types.Map:
		return mentions(t.Key()) || mentions(t.Elem())
	case *types.Struct:
		for f := range t.Fields() {
			if !f.Exported() || mentions(f.Type()) {
				return true
			}
		}
	case *types.Signature:
		for _, list := range []*types.Tuple{t.Params(), t.Results()} {
			for v := range list.Variables() {
				if mentions(v.Type()) {
					return true
				}
			}
		}
	}
	return false
}

// converts reports whether a value needs a call to go from one type to another.
func converts(from, to types.Type) bool {
	if to == nil || from == nil || !types.IsInterface(to) {
		return false
	}
	if basic, ok := from.(*types.Basic); ok && basic.Kind() == types.UntypedNil {
		return false
	}
	if types.IsInterface(from) {
		if isCompiledInterface(to) {
			return isSessionInterface(from)
		}
		return isCompiledInterface(from)
	}
	return mentions(types.Default(from))
}

// convert is x where Go converts it to type to.
func (b *boxer) convert(x ast.Expr, to types.Type) ast.Expr {
	from := b.info.TypeOf(x)
	if b.boxed[x] || !converts(from, to) {
		return x
	}
	from = types.Default(from)
	var out ast.Expr
	switch {
	case !types.IsInterface(from):
		if kv, ok := x.(*ast.KeyValueExpr); ok {
			x = kv.Value
		}
		out = b.host(x.Pos(), "box__", b.number(from), &ast.CompositeLit{Type: &ast.ArrayType{Elt: b.spell(x.Pos(), from)}, Elts: []ast.Expr{x}})
	case isCompiledInterface(from):
		out = b.host(x.Pos(), "open__", x)
	default:
		out = x
	}
	t := anyType
	if isCompiledInterface(to) {
		out, t = b.narrowed(out, to, x.Pos()), to
	}
	b.boxed[out] = true
	return b.typed(out, t)
}

// narrowed makes a compiled interface of what is in an any.
func (b *boxer) narrowed(x ast.Expr, to types.Type, pos token.Pos) ast.Expr {
	name := b.helper("as", to, func(name string, t ast.Expr) *ast.FuncDecl {
		return &ast.FuncDecl{Name: ast.NewIdent(name), Type: &ast.FuncType{Params: fields("x__", ast.NewIdent("any")), Results: fields("v__", t)}, Body: block(
			&ast.IfStmt{Cond: &ast.BinaryExpr{X: ast.NewIdent("x__"), Op: token.EQL, Y: ast.NewIdent("nil")}, Body: block(&ast.ReturnStmt{Results: []ast.Expr{ast.NewIdent("nil")}})},
			&ast.ReturnStmt{Results: []ast.Expr{&ast.TypeAssertExpr{X: b.host(pos, "wrap__", b.number(to), ast.NewIdent("x__")), Type: clone(t)}}})}
	})
	return &ast.CallExpr{Fun: &ast.Ident{NamePos: pos, Name: name}, Args: []ast.Expr{x}}
}

// host is a call of the host package.
func (b *boxer) host(pos token.Pos, name string, args ...ast.Expr) *ast.CallExpr {
	return &ast.CallExpr{Fun: &ast.Ident{NamePos: pos, Name: name}, Args: args}
}

// number is the literal that will hold a type's number.
func (b *boxer) number(t types.Type) ast.Expr {
	lit := &ast.BasicLit{Kind: token.INT, Value: "0"}
	b.numbers = append(b.numbers, typeNumber{lit, t})
	return lit
}

// spell writes a type where it is used.
func (b *boxer) spell(pos token.Pos, t types.Type) ast.Expr {
	e, text, err := b.unit.spell(t)
	if err != nil && b.err == nil {
		b.err = Errors{*b.unit.errorAt(pos, "the type "+text+" cannot be written in Go")}
	}
	return b.plain(e)
}

// plain puts any in the place of interfaces with methods.
func (b *boxer) plain(e ast.Expr) ast.Expr {
	return astutil.Apply(e, nil, func(c *astutil.Cursor) bool {
		if it, ok := c.Node().(*ast.InterfaceType); ok && it.Methods != nil && len(it.Methods.List) > 0 {
			c.Replace(ast.NewIdent("any"))
		}
		return true
	}).(ast.Expr)
}

// helper is the name of a small function for a type, made once.
func (b *boxer) helper(what string, t types.Type, make func(name string, t ast.Expr) *ast.FuncDecl) string {
	spelled := b.spell(token.NoPos, t)
	key := what + " " + types.ExprString(spelled)
	if name := b.named[key]; name != "" {
		return name
	}
	name := b.unit.scope.fresh(HelperPrefix + what)
	b.named[key] = name
	b.helpers = append(b.helpers, make(name, spelled))
	return name
}

// interfaceDecl makes an interface of the session another name of any.
func (b *boxer) interfaceDecl(d *ast.GenDecl) {
	if d.Tok != token.TYPE {
		return
	}
	for _, s := range d.Specs {
		ts := s.(*ast.TypeSpec)
		obj := b.info.Defs[ts.Name]
		if obj == nil || ts.TypeParams != nil {
			continue
		}
		if it, ok := obj.Type().Underlying().(*types.Interface); ok && it.IsMethodSet() && (!isCompiledInterface(obj.Type())) {
			ts.Assign, ts.Type = ts.Pos(), &ast.Ident{NamePos: ts.Type.Pos(), Name: "any"}
		}
	}
}

// structType names the fields that embed an interface of the session, and keeps
// fields that are not exported from packages that read structs: the interpreter
// exports all.
func (b *boxer) structType(s *ast.StructType) {
	for _, f := range s.Fields.List {
		if len(f.Names) > 0 {
			private := !slices.ContainsFunc(f.Names, func(id *ast.Ident) bool { return id.IsExported() })
			if private && f.Tag == nil {
				f.Tag = &ast.BasicLit{Kind: token.STRING, Value: "`json:\"-\" xml:\"-\" yaml:\"-\"`"}
			}
			continue
		}
		t := b.info.TypeOf(f.Type)
		if t == nil || !isSessionInterface(t) {
			continue
		}
		if id, ok := ast.Unparen(f.Type).(*ast.Ident); ok {
			f.Names = []*ast.Ident{{NamePos: id.Pos(), Name: id.Name}}
			f.Type = &ast.Ident{NamePos: id.Pos(), Name: "any"}
		}
	}
}

// hostDecls declares the host's functions.
func hostDecls(fset *token.FileSet) []ast.Decl {
	file, err := parser.ParseFile(fset, "", "package main\n"+hostSource, parser.SkipObjectResolution)
	if err != nil {
		panic(fmt.Sprintf("frontend: %v", err))
	}
	return file.Decls
}
