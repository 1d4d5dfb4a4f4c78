package frontend

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ast/astutil"
)

// The interpreter computes the arguments of a deferred call when it runs, finds
// a panic only in a function literal deferred on the spot, and holds a lock of
// the function's variables meanwhile. So a function that defers is cut in two:
// its body becomes a literal that the host calls, with a list for the deferred
// calls, in the order and with the arguments that Go gives them. The host makes
// them when the body has ended and hands the panic, if there is one, to recover.

// withDefers lowers the body of a function, in a literal of its own if it
// defers.
func (e *emitter) withDefers(f *ast.FuncType, sig *types.Signature, body []ast.Stmt) []ast.Stmt {
	if !deferring(body) {
		return e.list(body)
	}
	outer := e.deferred
	e.deferred = e.unit.scope.fresh("deferred")
	defer func() { e.deferred = outer }()
	head, results := e.resultPlaces(f)
	lowered := block(e.list(body)...)
	e.storeResults(lowered, sig, results)
	call := &ast.CallExpr{Fun: &ast.SelectorExpr{X: ast.NewIdent(e.deferred), Sel: ast.NewIdent("Call")},
		Args: []ast.Expr{&ast.FuncLit{Type: &ast.FuncType{Params: &ast.FieldList{}}, Body: lowered}}}
	out := append(head, define(ast.NewIdent(e.deferred), host("Defers")), &ast.ExprStmt{X: call})
	if len(results) > 0 {
		out = append(out, &ast.ReturnStmt{})
	}
	return out
}

// resultPlaces gives every result a name, and says how the body's literal
// reaches it: those that the user named by pointer, as a variable of the body may
// hide the name.
func (e *emitter) resultPlaces(f *ast.FuncType) (head []ast.Stmt, places []func() ast.Expr) {
	if f.Results == nil {
		return nil, nil
	}
	for _, r := range f.Results.List {
		if len(r.Names) == 0 {
			r.Names = []*ast.Ident{ast.NewIdent("_")}
		}
		for _, id := range r.Names {
			if id.Name == "_" {
				id.Name = e.unit.scope.fresh("result")
				name := id.Name
				places = append(places, func() ast.Expr { return ast.NewIdent(name) })
				continue
			}
			pointer := e.unit.scope.fresh(id.Name)
			head = append(head, define(ast.NewIdent(pointer), &ast.UnaryExpr{Op: token.AND, X: ast.NewIdent(id.Name)}))
			places = append(places, func() ast.Expr { return &ast.StarExpr{X: ast.NewIdent(pointer)} })
		}
	}
	return head, places
}

// storeResults has return statements leave their values in the results.
func (e *emitter) storeResults(body *ast.BlockStmt, sig *types.Signature, places []func() ast.Expr) {
	astutil.Apply(body, func(c *astutil.Cursor) bool {
		switch n := c.Node().(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if len(n.Results) == 0 {
				return false
			}
			p := &parallel{emitter: e}
			var last []ast.Stmt
			store := func(i int, value ast.Expr) {
				last = append(last, &ast.AssignStmt{Lhs: []ast.Expr{places[i]()}, Tok: token.ASSIGN, Rhs: []ast.Expr{value}})
			}
			if len(n.Results) == len(places) {
				for i, x := range n.Results {
					store(i, p.hold(x, sig.Results().At(i).Type()))
				}
			} else { // one call gives all of them
				get := &ast.AssignStmt{Tok: token.DEFINE, Rhs: n.Results}
				for i := range places {
					name := e.unit.scope.fresh("value")
					get.Lhs = append(get.Lhs, ast.NewIdent(name))
					store(i, ast.NewIdent(name))
				}
				p.first = append(p.first, get)
			}
			c.Replace(block(append(append(p.first, last...), &ast.ReturnStmt{})...))
			return false
		}
		return true
	}, nil)
}

// deferring reports whether statements defer, outside of function literals.
func deferring(body []ast.Stmt) bool {
	found := false
	for _, st := range body {
		ast.Inspect(st, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.DeferStmt:
				found = true
			}
			return !found
		})
	}
	return found
}

// deferStmt puts a call on the function's list.
func (e *emitter) deferStmt(st *ast.DeferStmt) ast.Stmt {
	push := func(f ast.Expr) ast.Stmt {
		return &ast.ExprStmt{X: &ast.CallExpr{Fun: &ast.SelectorExpr{X: &ast.Ident{NamePos: st.Pos(), Name: e.deferred}, Sel: ast.NewIdent("Push")}, Args: []ast.Expr{f}}}
	}
	thunk := func(body ...ast.Stmt) *ast.FuncLit {
		return &ast.FuncLit{Type: &ast.FuncType{Params: &ast.FieldList{}}, Body: block(body...)}
	}
	call := st.Call
	if lit, ok := call.Fun.(*ast.FuncLit); ok && len(call.Args) == 0 {
		return push(thunk(&ast.ExprStmt{X: &ast.CallExpr{Fun: lit}}))
	}
	params := &ast.FieldList{}
	var given []ast.Expr
	add := func(name string, t types.Type, x ast.Expr) ast.Expr {
		spelled, _, err := e.unit.spell(t)
		if err != nil {
			e.fail(st.Pos(), "a deferred call's argument has a type that cannot be written: "+t.String())
			spelled = ast.NewIdent("any")
		}
		params.List = append(params.List, &ast.Field{Names: []*ast.Ident{ast.NewIdent(name)}, Type: e.named(spelled)})
		given = append(given, x)
		return ast.NewIdent(name)
	}
	inner := &ast.CallExpr{Fun: call.Fun, Ellipsis: call.Ellipsis}
	sig := e.signature(call.Fun)
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && sig != nil && e.isMethod(sel) {
		if slot, receiver := e.method(sel); slot != "" && receiver != nil {
			f := e.unit.info.Selections[sel].Obj().(*types.Func)
			inner.Fun = ast.NewIdent(slot)
			inner.Args = append(inner.Args, add("recv__", f.Signature().Recv().Type(), receiver))
		} else {
			inner.Fun = add("f__", sig, call.Fun)
		}
	} else if sig != nil && !e.namesFunction(call.Fun) {
		inner.Fun = add("f__", sig, call.Fun)
	}
	for i, a := range call.Args {
		t := e.unit.info.TypeOf(a)
		if sig != nil {
			if p := parameter(sig, i, call.Ellipsis.IsValid()); p != nil {
				t = p
			}
		}
		if t == nil || e.unit.info.Types[a].IsNil() && sig == nil {
			inner.Args = append(inner.Args, a)
			continue
		}
		inner.Args = append(inner.Args, add("a"+itoa(i)+"__", types.Default(t), a))
	}
	if len(given) == 0 {
		return push(thunk(&ast.ExprStmt{X: inner}))
	}
	maker := &ast.FuncLit{Type: &ast.FuncType{Params: params, Results: &ast.FieldList{List: []*ast.Field{{Type: &ast.FuncType{Params: &ast.FieldList{}}}}}},
		Body: block(&ast.ReturnStmt{Results: []ast.Expr{thunk(&ast.ExprStmt{X: inner})}})}
	return push(&ast.CallExpr{Fun: maker, Args: given})
}

// signature is that of a called expression, nil for built-in functions and
// conversions.
func (e *emitter) signature(fun ast.Expr) *types.Signature {
	tv := e.unit.info.Types[fun]
	if tv.Type == nil || tv.IsBuiltin() || tv.IsType() {
		return nil
	}
	sig, _ := tv.Type.Underlying().(*types.Signature)
	return sig
}

// parameter is the type of argument i.
func parameter(sig *types.Signature, i int, spread bool) types.Type {
	if sig.Variadic() && i >= sig.Params().Len()-1 {
		last := sig.Params().At(sig.Params().Len() - 1).Type()
		if spread {
			return last
		}
		if s, ok := last.Underlying().(*types.Slice); ok {
			return s.Elem()
		}
		return nil
	}
	return sig.Params().At(i).Type()
}

func (e *emitter) isMethod(sel *ast.SelectorExpr) bool {
	s := e.unit.info.Selections[sel]
	return s != nil && s.Kind() == types.MethodVal
}

// namesFunction tells functions that mean the same whenever they are called.
func (e *emitter) namesFunction(x ast.Expr) bool {
	switch x := ast.Unparen(x).(type) {
	case *ast.FuncLit:
		return false
	case *ast.Ident:
		_, ok := e.unit.info.Uses[x].(*types.Func)
		return ok
	case *ast.SelectorExpr:
		_, ok := e.unit.info.Uses[x.Sel].(*types.Func)
		return ok && e.unit.info.Selections[x] == nil
	}
	return false
}

// selectStmt leaves the choice to the host: the interpreter loses values where
// several cases receive. The cases' bodies become those of a switch.
func (e *emitter) selectStmt(st *ast.SelectStmt, labelled func(ast.Stmt) ast.Stmt) ast.Stmt {
	var before []ast.Stmt
	variable := func(base string, t types.Type) string {
		name := e.unit.scope.fresh(base)
		spelled, _, err := e.unit.spell(t)
		if err != nil {
			e.fail(st.Pos(), "a variable has a type that cannot be written: "+t.String())
			spelled = ast.NewIdent("any")
		}
		before = append(before, &ast.DeclStmt{Decl: &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{&ast.ValueSpec{
			Names: []*ast.Ident{ast.NewIdent(name)}, Type: e.named(spelled)}}}})
		return name
	}
	call := host("Select", ast.NewIdent("true"))
	sw := &ast.SwitchStmt{Body: &ast.BlockStmt{}}
	for i, c := range st.Body.List {
		cc := c.(*ast.CommClause)
		body := e.list(cc.Body)
		clause := &ast.CaseClause{List: []ast.Expr{&ast.BasicLit{Kind: token.INT, Value: itoa(i)}}}
		var set []ast.Stmt
		switch comm := cc.Comm.(type) {
		case nil:
			call.Args[0] = ast.NewIdent("false")
			clause.List = nil
		case *ast.SendStmt:
			elem := e.unit.info.TypeOf(comm.Chan).Underlying().(*types.Chan).Elem()
			spelled, _, err := e.unit.spell(elem)
			if err != nil {
				e.fail(comm.Pos(), "a channel's element has a type that cannot be written: "+elem.String())
				spelled = ast.NewIdent("any")
			}
			call.Args = append(call.Args, host("Sending", comm.Chan, &ast.CompositeLit{Type: &ast.ArrayType{Elt: e.named(spelled)}, Elts: []ast.Expr{comm.Value}}))
		case *ast.ExprStmt:
			call.Args = append(call.Args, host("Receiving", ast.Unparen(comm.X).(*ast.UnaryExpr).X, ast.NewIdent("nil"), ast.NewIdent("nil")))
		case *ast.AssignStmt:
			receive := ast.Unparen(comm.Rhs[0]).(*ast.UnaryExpr).X
			targets := []types.Type{e.unit.info.TypeOf(receive).Underlying().(*types.Chan).Elem(), types.Typ[types.Bool]}
			to := []ast.Expr{ast.NewIdent("nil"), ast.NewIdent("nil")}
			for j, l := range comm.Lhs {
				if id, ok := l.(*ast.Ident); ok && id.Name == "_" {
					continue
				}
				name := variable("received", targets[j])
				to[j] = &ast.UnaryExpr{Op: token.AND, X: ast.NewIdent(name)}
				set = append(set, &ast.AssignStmt{Lhs: []ast.Expr{l}, Tok: comm.Tok, Rhs: []ast.Expr{ast.NewIdent(name)}})
				if comm.Tok == token.DEFINE {
					set = append(set, &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent("_")}, Tok: token.ASSIGN, Rhs: []ast.Expr{ast.NewIdent(l.(*ast.Ident).Name)}})
				}
			}
			call.Args = append(call.Args, host("Receiving", receive, to[0], to[1]))
		}
		clause.Body = append(set, body...)
		sw.Body.List = append(sw.Body.List, clause)
	}
	// Numbers count the cases alone; default has none.
	n := 0
	for _, c := range sw.Body.List {
		if cc := c.(*ast.CaseClause); cc.List != nil {
			cc.List[0].(*ast.BasicLit).Value = itoa(n)
			n++
		}
	}
	if len(sw.Body.List) == 0 { // the interpreter would forget the tag
		return labelled(&ast.ExprStmt{X: call})
	}
	sw.Tag = call
	return block(append(before, labelled(sw))...)
}
