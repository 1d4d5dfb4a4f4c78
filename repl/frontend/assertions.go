package frontend

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"

	"golang.org/x/tools/go/ast/astutil"
)

type cursor = *astutil.Cursor

// selector turns a method of an interface of the session into a function that
// the host finds.
func (b *boxer) selector(c cursor, n *ast.SelectorExpr) {
	sel := b.info.Selections[n]
	if sel == nil || sel.Kind() == types.FieldVal {
		return
	}
	recv := sel.Recv()
	x := n.X
	if path := sel.Index(); len(path) > 1 { // by way of embedded fields
		x, recv = b.fieldPath(x, recv, path[:len(path)-1])
	}
	if p, ok := recv.Underlying().(*types.Pointer); ok && len(sel.Index()) > 1 {
		recv = p.Elem()
	}
	if !isSessionInterface(recv) {
		if x != n.X {
			if f := sel.Obj().(*types.Func); f.Pkg() == nil || f.Pkg().Path() != "main" {
				n.X = x // the interpreter looks no deeper than it must
			}
		}
		return
	}
	sig := sel.Type().(*types.Signature)
	if sel.Kind() == types.MethodExpr {
		c.Replace(b.typed(b.methodExpression(n, recv, sig), sig))
		return
	}
	name := b.helper("method_"+n.Sel.Name, sig, func(name string, t ast.Expr) *ast.FuncDecl {
		return &ast.FuncDecl{Name: ast.NewIdent(name), Type: &ast.FuncType{Params: fields("x__", ast.NewIdent("any")), Results: fields("v__", t)}, Body: block(
			&ast.ReturnStmt{Results: []ast.Expr{&ast.TypeAssertExpr{
				X: b.host(token.NoPos, "method__", ast.NewIdent("x__"), &ast.BasicLit{Kind: token.STRING, Value: "\"" + n.Sel.Name + "\""}), Type: clone(t)}}})}
	})
	c.Replace(b.typed(&ast.CallExpr{Fun: &ast.Ident{NamePos: n.Pos(), Name: name}, Args: []ast.Expr{x}}, sig))
}

// methodExpression is I.M of an interface of the session: a function that asks
// its first argument for the method.
func (b *boxer) methodExpression(n *ast.SelectorExpr, recv types.Type, sig *types.Signature) ast.Expr {
	bound := types.NewSignatureType(nil, nil, nil, types.NewTuple(slices.Collect(sig.Params().Variables())[1:]...), sig.Results(), sig.Variadic())
	key := types.NewTuple(types.NewParam(token.NoPos, nil, "", recv), types.NewParam(token.NoPos, nil, "", bound))
	name := b.helper("expression_"+n.Sel.Name, types.NewSignatureType(nil, nil, nil, key, nil, false), func(name string, t ast.Expr) *ast.FuncDecl {
		f := clone(t.(*ast.FuncType).Params.List[1].Type).(*ast.FuncType)
		call := &ast.CallExpr{Fun: &ast.TypeAssertExpr{
			X:    b.host(token.NoPos, "method__", ast.NewIdent("x__"), &ast.BasicLit{Kind: token.STRING, Value: "\"" + n.Sel.Name + "\""}),
			Type: clone(f)}}
		params := fields("x__", ast.NewIdent("any"))
		for i, p := range f.Params.List {
			id := ast.NewIdent("a" + strconv.Itoa(i) + "__")
			params.List = append(params.List, &ast.Field{Names: []*ast.Ident{id}, Type: p.Type})
			call.Args = append(call.Args, ast.NewIdent(id.Name))
			if _, ok := p.Type.(*ast.Ellipsis); ok {
				call.Ellipsis = 1
			}
		}
		var body ast.Stmt = &ast.ExprStmt{X: call}
		if sig.Results().Len() > 0 {
			body = &ast.ReturnStmt{Results: []ast.Expr{call}}
		}
		return &ast.FuncDecl{Name: ast.NewIdent(name), Type: &ast.FuncType{Params: params, Results: f.Results}, Body: block(body)}
	})
	return &ast.Ident{NamePos: n.Pos(), Name: name}
}

// fieldPath writes out the embedded fields that a selector goes through.
func (b *boxer) fieldPath(x ast.Expr, t types.Type, path []int) (ast.Expr, types.Type) {
	for _, i := range path {
		if p, ok := t.Underlying().(*types.Pointer); ok {
			t = p.Elem()
		}
		f := t.Underlying().(*types.Struct).Field(i)
		s := &ast.SelectorExpr{X: x, Sel: &ast.Ident{NamePos: x.Pos(), Name: f.Name()}}
		b.info.Uses[s.Sel] = f
		x, t = b.typed(s, f.Type()), f.Type()
	}
	return x, t
}

// assertion lowers x.(T). Only types that reflection knows are left to the
// interpreter.
func (b *boxer) assertion(c cursor, n *ast.TypeAssertExpr) {
	if n.Type == nil { // of a type switch
		return
	}
	_, commaOK := b.info.TypeOf(n).(*types.Tuple)
	t := b.info.TypeOf(n.Type)
	if x := b.asserted(n.X, t, n.Type, commaOK); x != nil {
		c.Replace(b.typed(x, b.info.TypeOf(n)))
	}
}

// asserted is the call for x.(T), nil if the interpreter does it right.
func (b *boxer) asserted(x ast.Expr, t types.Type, spelled ast.Expr, commaOK bool) ast.Expr {
	value, ok := ast.NewIdent("v__"), ast.NewIdent("ok__")
	pos := x.Pos()
	results := func(t ast.Expr) *ast.FieldList {
		if commaOK {
			return fields("v__", t, "ok__", ast.NewIdent("bool"))
		}
		return fields("v__", t)
	}
	var body []ast.Stmt
	operand := ast.NewIdent("x__")
	var typ ast.Expr = ast.NewIdent("any")
	switch {
	case isCompiledInterface(t):
		typ = clone(spelled)
		a := &ast.AssignStmt{Lhs: []ast.Expr{value}, Tok: token.ASSIGN, Rhs: []ast.Expr{
			&ast.TypeAssertExpr{X: b.host(pos, "wrap__", b.number(t), operand), Type: clone(spelled)}}}
		if commaOK {
			a.Lhs = append(a.Lhs, ok)
		} else {
			body = append(body, &ast.ExprStmt{X: b.host(pos, "require__", b.number(t), operand)})
		}
		body = append(body, a)
	case types.IsInterface(t):
		if commaOK {
			body = []ast.Stmt{
				&ast.AssignStmt{Lhs: []ast.Expr{ok}, Tok: token.ASSIGN, Rhs: []ast.Expr{b.host(pos, "implements__", b.number(t), operand)}},
				&ast.IfStmt{Cond: ok, Body: block(&ast.AssignStmt{Lhs: []ast.Expr{value}, Tok: token.ASSIGN, Rhs: []ast.Expr{b.host(pos, "open__", operand)}})}}
		} else {
			body = []ast.Stmt{&ast.AssignStmt{Lhs: []ast.Expr{value}, Tok: token.ASSIGN, Rhs: []ast.Expr{b.host(pos, "require__", b.number(t), operand)}}}
		}
	case mentions(t):
		typ = clone(spelled)
		address := &ast.UnaryExpr{Op: token.AND, X: value}
		if commaOK {
			body = []ast.Stmt{&ast.AssignStmt{Lhs: []ast.Expr{ok}, Tok: token.ASSIGN, Rhs: []ast.Expr{b.host(pos, "unbox__", b.number(t), operand, address)}}}
		} else {
			body = []ast.Stmt{&ast.ExprStmt{X: b.host(pos, "assert__", b.number(t), operand, address)}}
		}
	default:
		return nil
	}
	body = append(body, &ast.ReturnStmt{Results: []ast.Expr{value}})
	if commaOK {
		body[len(body)-1].(*ast.ReturnStmt).Results = []ast.Expr{value, ok}
	}
	f := &ast.FuncType{Params: fields("x__", ast.NewIdent("any")), Results: results(typ)}
	return &ast.CallExpr{Fun: b.function(pos, f, body, t, commaOK), Args: []ast.Expr{b.convert(x, anyType)}}
}

// function is a helper with the given body, or a literal where its type has a
// name only inside the function.
func (b *boxer) function(pos token.Pos, f *ast.FuncType, body []ast.Stmt, t types.Type, commaOK bool) ast.Expr {
	if localType(t) != "" {
		f.Func = pos
		return &ast.ParenExpr{X: &ast.FuncLit{Type: f, Body: block(body...)}}
	}
	what := "to"
	if commaOK {
		what = "maybe"
	}
	name := b.helper(what, t, func(name string, _ ast.Expr) *ast.FuncDecl {
		return &ast.FuncDecl{Name: ast.NewIdent(name), Type: f, Body: block(body...)}
	})
	return &ast.Ident{NamePos: pos, Name: name}
}

// typeSwitch becomes a switch over conditions.
func (b *boxer) typeSwitch(c cursor, n *ast.TypeSwitchStmt) {
	var x ast.Expr
	bound := ""
	switch a := n.Assign.(type) {
	case *ast.ExprStmt:
		x = a.X.(*ast.TypeAssertExpr).X
	case *ast.AssignStmt:
		x = a.Rhs[0].(*ast.TypeAssertExpr).X
		bound = a.Lhs[0].(*ast.Ident).Name
	}
	static := b.info.TypeOf(x)
	value := b.unit.scope.fresh("switched")
	operand := func() ast.Expr { return b.typed(ast.NewIdent(value), static) }
	sw := &ast.SwitchStmt{Switch: n.Switch, Body: &ast.BlockStmt{}, Init: define(ast.NewIdent(value), x)}
	for _, s := range n.Body.List {
		cc := s.(*ast.CaseClause)
		out := &ast.CaseClause{Case: cc.Case, Body: cc.Body}
		for i, t := range cc.List { // joined, as the interpreter takes the first alone where there is no tag
			if cond := b.caseOf(operand(), t); i == 0 {
				out.List = []ast.Expr{cond}
			} else {
				out.List[0] = &ast.BinaryExpr{X: out.List[0], Op: token.LOR, Y: cond}
			}
		}
		if bound != "" && bound != "_" {
			v := operand()
			if len(cc.List) == 1 && !isNilCase(b, cc.List[0]) {
				t := b.info.TypeOf(cc.List[0])
				if call := b.asserted(operand(), t, cc.List[0], false); call != nil {
					v = call
				} else {
					v = &ast.TypeAssertExpr{X: operand(), Type: clone(cc.List[0])}
				}
			}
			id := &ast.Ident{NamePos: cc.Case, Name: bound}
			out.Body = append([]ast.Stmt{define(id, v), &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent("_")}, Tok: token.ASSIGN, Rhs: []ast.Expr{ast.NewIdent(bound)}}}, out.Body...)
		}
		sw.Body.List = append(sw.Body.List, out)
	}
	b.replaceSwitch(c, n.Init, sw)
}

// replaceSwitch puts a switch in the place of another whose own first statement
// must stand before it.
func (b *boxer) replaceSwitch(c cursor, init ast.Stmt, sw *ast.SwitchStmt) {
	if init == nil {
		c.Replace(sw)
		return
	}
	c.Replace(block(init, sw))
}

// labelled moves a label to the switch that a lowered one begins with.
func (b *boxer) labelled(n *ast.LabeledStmt) {
	if bl, ok := n.Stmt.(*ast.BlockStmt); ok && len(bl.List) == 2 {
		if sw, ok := bl.List[1].(*ast.SwitchStmt); ok && !bl.Lbrace.IsValid() {
			label := *n
			label.Stmt = sw
			n.Label = ast.NewIdent(b.unit.scope.fresh(label.Label.Name))
			bl.List[1] = &label
		}
	}
}

func isNilCase(b *boxer, x ast.Expr) bool { return b.info.Types[x].IsNil() }

// caseOf is the condition of one type of a type switch.
func (b *boxer) caseOf(x ast.Expr, t ast.Expr) ast.Expr {
	if isNilCase(b, t) {
		return &ast.BinaryExpr{X: x, Op: token.EQL, Y: ast.NewIdent("nil")}
	}
	typ := b.info.TypeOf(t)
	if types.IsInterface(typ) {
		return b.host(t.Pos(), "implements__", b.number(typ), b.convert(x, anyType))
	}
	ok := ast.NewIdent("ok__")
	f := &ast.FuncType{Params: fields("x__", ast.NewIdent("any")), Results: fields("ok__", ast.NewIdent("bool"))}
	var body []ast.Stmt
	if mentions(typ) {
		value := ast.NewIdent("v__")
		body = []ast.Stmt{
			&ast.DeclStmt{Decl: &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{&ast.ValueSpec{Names: []*ast.Ident{value}, Type: clone(t)}}}},
			&ast.ReturnStmt{Results: []ast.Expr{b.host(t.Pos(), "unbox__", b.number(typ), ast.NewIdent("x__"), &ast.UnaryExpr{Op: token.AND, X: value})}}}
	} else {
		body = []ast.Stmt{
			&ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent("_"), ok}, Tok: token.ASSIGN, Rhs: []ast.Expr{&ast.TypeAssertExpr{X: ast.NewIdent("x__"), Type: clone(t)}}},
			&ast.ReturnStmt{Results: []ast.Expr{ok}}}
	}
	var fn ast.Expr
	if localType(typ) != "" {
		fn = &ast.ParenExpr{X: &ast.FuncLit{Type: f, Body: block(body...)}}
	} else {
		fn = &ast.Ident{NamePos: t.Pos(), Name: b.helper("is", typ, func(name string, _ ast.Expr) *ast.FuncDecl {
			return &ast.FuncDecl{Name: ast.NewIdent(name), Type: f, Body: block(body...)}
		})}
	}
	return &ast.CallExpr{Fun: fn, Args: []ast.Expr{b.convert(x, anyType)}}
}

// comparison compares interfaces by the host.
func (b *boxer) comparison(c cursor, n *ast.BinaryExpr) {
	if n.Op != token.EQL && n.Op != token.NEQ {
		return
	}
	if b.info.Types[n.X].IsNil() || b.info.Types[n.Y].IsNil() {
		return
	}
	x, y := b.info.TypeOf(n.X), b.info.TypeOf(n.Y)
	if x == nil || y == nil || !types.IsInterface(x) && !types.IsInterface(y) {
		return
	}
	c.Replace(b.equal(n, n.Op == token.NEQ, n.X, n.Y))
}

func (b *boxer) equal(n ast.Expr, not bool, x, y ast.Expr) ast.Expr {
	var out ast.Expr = b.host(x.Pos(), "equal__", b.convert(x, anyType), b.convert(y, anyType))
	if not {
		out = &ast.UnaryExpr{OpPos: x.Pos(), Op: token.NOT, X: out}
	}
	if n != nil {
		return b.typed(out, b.info.TypeOf(n))
	}
	return out
}

// valueSwitch compares an interface with each case.
func (b *boxer) valueSwitch(c cursor, n *ast.SwitchStmt) {
	if n.Tag == nil {
		return
	}
	t := b.info.TypeOf(n.Tag)
	if t == nil || !types.IsInterface(t) {
		return
	}
	value := b.unit.scope.fresh("switched")
	sw := &ast.SwitchStmt{Switch: n.Switch, Body: n.Body, Init: define(ast.NewIdent(value), n.Tag)}
	for _, s := range n.Body.List {
		cc := s.(*ast.CaseClause)
		for i, x := range cc.List {
			tag := b.typed(ast.NewIdent(value), t)
			var cond ast.Expr
			if b.info.Types[x].IsNil() {
				cond = &ast.BinaryExpr{X: tag, Op: token.EQL, Y: x}
			} else {
				cond = b.equal(nil, false, tag, x)
			}
			if i == 0 {
				cc.List[0] = cond
			} else {
				cc.List[0] = &ast.BinaryExpr{X: cc.List[0], Op: token.LOR, Y: cond}
			}
		}
		cc.List = cc.List[:min(1, len(cc.List))]
	}
	b.replaceSwitch(c, n.Init, sw)
}
