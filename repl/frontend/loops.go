package frontend

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ast/astutil"
)

// forStmt gives a loop whose variables outlive an iteration a variable of its
// own per iteration, as Go has since 1.22: each is a copy of the last one's,
// made before the post statement.
func (e *emitter) forStmt(st *ast.ForStmt, labelled func(ast.Stmt) ast.Stmt) []ast.Stmt {
	body := e.list(st.Body.List)
	vars := e.captured(st.Init, st)
	if st.Post != nil && e.isParallel(st.Post) {
		st.Post = &ast.ExprStmt{X: &ast.CallExpr{Fun: &ast.FuncLit{Type: &ast.FuncType{Params: &ast.FieldList{}},
			Body: block(e.parallel(st.Post.(*ast.AssignStmt))...)}}}
	}
	if len(vars) == 0 {
		st.Body.List = append([]ast.Stmt{e.check()}, body...)
		return e.initially(&st.Init, labelled(st))
	}
	fresh := e.unit.scope.fresh
	first := fresh("first")
	out := []ast.Stmt{st.Init}
	head := []ast.Stmt{e.check()}
	var keep []ast.Stmt
	for _, id := range vars {
		p := fresh(id.Name)
		out = append(out, define(ast.NewIdent(p), &ast.UnaryExpr{Op: token.AND, X: ast.NewIdent(id.Name)}))
		head = append(head, define(ast.NewIdent(id.Name), &ast.StarExpr{X: ast.NewIdent(p)}))
		keep = append(keep, &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent(p)}, Tok: token.ASSIGN, Rhs: []ast.Expr{&ast.UnaryExpr{Op: token.AND, X: ast.NewIdent(id.Name)}}})
	}
	out = append(out, define(ast.NewIdent(first), ast.NewIdent("true")))
	next := &ast.IfStmt{Cond: ast.NewIdent(first), Body: block(assign(first, "false"))}
	if st.Post != nil {
		next.Else = block(st.Post)
	}
	head = append(head, next)
	if st.Cond != nil {
		head = append(head, &ast.IfStmt{Cond: &ast.UnaryExpr{Op: token.NOT, X: &ast.ParenExpr{X: st.Cond}}, Body: block(&ast.BranchStmt{Tok: token.BREAK})})
	}
	head = append(head, keep...)
	loop := &ast.ForStmt{Body: block(append(head, block(body...))...)}
	return []ast.Stmt{block(append(out, labelled(loop))...)}
}

// captured are the variables that init defines and that a function literal or
// a pointer in the loop may keep.
func (e *emitter) captured(init ast.Stmt, loop ast.Node) []*ast.Ident {
	a, ok := init.(*ast.AssignStmt)
	if !ok || a.Tok != token.DEFINE {
		return nil
	}
	var out []*ast.Ident
	for _, l := range a.Lhs {
		if id, ok := l.(*ast.Ident); ok && e.outlives(id, loop) {
			out = append(out, id)
		}
	}
	return out
}

func (e *emitter) outlives(id *ast.Ident, loop ast.Node) bool {
	obj := e.unit.info.Defs[id]
	if obj == nil {
		return false
	}
	found := false
	mentions := func(n ast.Node) bool {
		hit := false
		ast.Inspect(n, func(n ast.Node) bool {
			if x, ok := n.(*ast.Ident); ok && e.unit.info.Uses[x] == obj {
				hit = true
			}
			return !hit
		})
		return hit
	}
	visit := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			found = found || mentions(n)
			return false
		case *ast.UnaryExpr:
			found = found || n.Op == token.AND && mentions(n.X)
		case *ast.SelectorExpr: // a method with a pointer receiver keeps the address
			if sel := e.unit.info.Selections[n]; sel != nil && sel.Kind() == types.MethodVal {
				found = found || mentions(n.X)
			}
		}
		return !found
	}
	ast.Inspect(loop, visit)
	return found
}

// rangeStmt lowers the forms of range that the interpreter lacks.
func (e *emitter) rangeStmt(st *ast.RangeStmt, label string, labelled func(ast.Stmt) ast.Stmt) []ast.Stmt {
	t := e.unit.info.TypeOf(st.X)
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if u.Info()&types.IsInteger != 0 {
			return e.rangeInt(st, t, labelled)
		}
	case *types.Signature:
		return e.rangeFunc(st, u, label)
	case *types.Chan:
		return e.rangeChan(st, u, labelled)
	case *types.Pointer: // to an array
		st.X = &ast.ParenExpr{X: &ast.StarExpr{X: st.X}}
	}
	body := e.list(st.Body.List)
	if st.Tok == token.DEFINE {
		var copies []ast.Stmt
		for _, v := range []*ast.Expr{&st.Key, &st.Value} {
			id, ok := (*v).(*ast.Ident)
			if ok && id.Name != "_" && e.outlives(id, st.Body) {
				tmp := e.unit.scope.fresh(id.Name)
				*v = ast.NewIdent(tmp)
				copies = append(copies, define(ast.NewIdent(id.Name), ast.NewIdent(tmp)))
			}
		}
		body = append(copies, body...)
	}
	st.Body.List = append([]ast.Stmt{e.check()}, body...)
	return []ast.Stmt{labelled(st)}
}

// rangeInt counts with a hidden variable: assigning the visible one does not
// change the count.
func (e *emitter) rangeInt(st *ast.RangeStmt, t types.Type, labelled func(ast.Stmt) ast.Stmt) []ast.Stmt {
	if st.Key != nil {
		if id, ok := st.Key.(*ast.Ident); ok && e.unit.info.Defs[id] != nil {
			t = e.unit.info.Defs[id].Type()
		} else if kt := e.unit.info.TypeOf(st.Key); kt != nil {
			t = kt
		}
	}
	spelled, _, err := e.unit.spell(types.Default(t))
	if err != nil {
		e.fail(st.Pos(), "range over "+t.String()+" is not supported in cells")
		return []ast.Stmt{st}
	}
	spelled = e.named(spelled)
	n, i := e.unit.scope.fresh("n"), e.unit.scope.fresh("i")
	body := e.list(st.Body.List)
	if st.Key != nil {
		body = append([]ast.Stmt{&ast.AssignStmt{Lhs: []ast.Expr{st.Key}, Tok: st.Tok, Rhs: []ast.Expr{ast.NewIdent(i)}}}, body...)
		if id, ok := st.Key.(*ast.Ident); ok && id.Name == "_" {
			body = body[1:]
		}
	}
	variable := func(name string, value ast.Expr) ast.Stmt {
		return &ast.DeclStmt{Decl: &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{&ast.ValueSpec{Names: []*ast.Ident{ast.NewIdent(name)}, Type: clone(spelled), Values: []ast.Expr{value}}}}}
	}
	loop := &ast.ForStmt{
		Cond: &ast.BinaryExpr{X: ast.NewIdent(i), Op: token.LSS, Y: ast.NewIdent(n)},
		Post: &ast.IncDecStmt{X: ast.NewIdent(i), Tok: token.INC},
		Body: block(append([]ast.Stmt{e.check()}, body...)...),
	}
	return []ast.Stmt{block(variable(n, st.X), variable(i, &ast.BasicLit{Kind: token.INT, Value: "0"}), labelled(loop))}
}

// rangeChan receives until the channel is closed or the cell is interrupted.
func (e *emitter) rangeChan(st *ast.RangeStmt, ch *types.Chan, labelled func(ast.Stmt) ast.Stmt) []ast.Stmt {
	c, v, ok := e.unit.scope.fresh("c"), e.unit.scope.fresh("v"), e.unit.scope.fresh("ok")
	head := []ast.Stmt{
		&ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent(v), ast.NewIdent(ok)}, Tok: token.DEFINE, Rhs: []ast.Expr{e.receive(ast.NewIdent(c), ch.Elem(), true)}},
		&ast.IfStmt{Cond: &ast.UnaryExpr{Op: token.NOT, X: ast.NewIdent(ok)}, Body: block(&ast.BranchStmt{Tok: token.BREAK})},
	}
	if id, blank := st.Key.(*ast.Ident); st.Key != nil && !(blank && id.Name == "_") {
		head = append(head, &ast.AssignStmt{Lhs: []ast.Expr{st.Key}, Tok: st.Tok, Rhs: []ast.Expr{ast.NewIdent(v)}})
	} else {
		head = append(head, &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent("_")}, Tok: token.ASSIGN, Rhs: []ast.Expr{ast.NewIdent(v)}})
	}
	loop := &ast.ForStmt{Body: block(append(head, e.list(st.Body.List)...)...)}
	return []ast.Stmt{block(define(ast.NewIdent(c), st.X), labelled(loop))}
}

// rangeFunc turns the loop's body into the function that the iterator calls.
// Leaving the body another way than by its end sets exit, which is acted upon
// after the iterator has returned.
func (e *emitter) rangeFunc(st *ast.RangeStmt, sig *types.Signature, label string) []ast.Stmt {
	yield := sig.Params().At(0).Type().Underlying().(*types.Signature)
	x := &exits{emitter: e, label: label, exit: e.unit.scope.fresh("exit")}
	body := e.list(st.Body.List)
	var head []ast.Stmt
	params := &ast.FieldList{}
	for i := range yield.Params().Len() {
		spelled, _, err := e.unit.spell(yield.Params().At(i).Type())
		if err != nil {
			e.fail(st.Pos(), "range over "+sig.String()+" is not supported in cells")
			return []ast.Stmt{st}
		}
		var target ast.Expr
		if i == 0 {
			target = st.Key
		} else {
			target = st.Value
		}
		name := "_"
		if id, ok := target.(*ast.Ident); target != nil && !(ok && id.Name == "_") {
			name = e.unit.scope.fresh("y")
			head = append(head, &ast.AssignStmt{Lhs: []ast.Expr{target}, Tok: st.Tok, Rhs: []ast.Expr{ast.NewIdent(name)}})
		}
		params.List = append(params.List, &ast.Field{Names: []*ast.Ident{ast.NewIdent(name)}, Type: e.named(spelled)})
	}
	inner := block(body...)
	x.rewrite(inner)
	list := append([]ast.Stmt{e.check()}, head...)
	list = append(list, inner.List...)
	list = append(list, x.leave(true))
	lit := &ast.FuncLit{Type: &ast.FuncType{Params: params, Results: &ast.FieldList{List: []*ast.Field{{Type: ast.NewIdent("bool")}}}}, Body: block(list...)}
	out := []ast.Stmt{define(ast.NewIdent(x.exit), &ast.BasicLit{Kind: token.INT, Value: "0"})}
	out = append(out, x.results...)
	out = append(out, &ast.ExprStmt{X: &ast.CallExpr{Fun: st.X, Args: []ast.Expr{lit}}})
	out = append(out, &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent("_")}, Tok: token.ASSIGN, Rhs: []ast.Expr{ast.NewIdent(x.exit)}})
	return []ast.Stmt{block(append(out, x.after...)...)}
}

// exits rewrites the ways out of a loop body that became a function.
type exits struct {
	*emitter
	label   string
	exit    string
	results []ast.Stmt // variables for returned values
	after   []ast.Stmt // what to do when the iterator has returned
	codes   int
	names   []string
}

func (x *exits) leave(goOn bool) ast.Stmt {
	v := "false"
	if goOn {
		v = "true"
	}
	return &ast.ReturnStmt{Results: []ast.Expr{ast.NewIdent(v)}}
}

// out leaves the body and has st done after the iterator.
func (x *exits) out(before []ast.Stmt, st ast.Stmt) ast.Stmt {
	x.codes++
	code := &ast.BasicLit{Kind: token.INT, Value: itoa(x.codes)}
	x.after = append(x.after, &ast.IfStmt{Cond: &ast.BinaryExpr{X: ast.NewIdent(x.exit), Op: token.EQL, Y: code}, Body: block(st)})
	list := append(before, &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent(x.exit)}, Tok: token.ASSIGN, Rhs: []ast.Expr{code}}, x.leave(false))
	return block(list...)
}

func (x *exits) rewrite(body *ast.BlockStmt) {
	type frame struct {
		node              ast.Node
		breaks, continues bool
	}
	var open []frame
	own := map[string]bool{}
	ast.Inspect(body, func(n ast.Node) bool {
		if l, ok := n.(*ast.LabeledStmt); ok {
			own[l.Label.Name] = true
		}
		return true
	})
	inside := func(brk bool) bool {
		for _, f := range open {
			if brk && f.breaks || !brk && f.continues {
				return true
			}
		}
		return false
	}
	astutil.Apply(body, func(c *astutil.Cursor) bool {
		switch n := c.Node().(type) {
		case *ast.FuncLit:
			return false
		case *ast.ForStmt, *ast.RangeStmt:
			open = append(open, frame{n, true, true})
		case *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt:
			open = append(open, frame{n, true, false})
		case *ast.DeferStmt:
			x.fail(n.Pos(), "defer inside the body of a range over a function is not supported in cells")
		case *ast.ReturnStmt:
			c.Replace(x.returned(n))
			return false
		case *ast.BranchStmt:
			name := ""
			if n.Label != nil {
				name = n.Label.Name
			}
			switch {
			case n.Tok == token.GOTO && !own[name]:
				x.fail(n.Pos(), "goto out of the body of a range over a function is not supported in cells")
			case n.Tok == token.FALLTHROUGH, n.Tok == token.GOTO, own[name]:
			case name == "" && inside(n.Tok == token.BREAK):
			case n.Tok == token.CONTINUE && (name == "" || name == x.label):
				c.Replace(x.leave(true))
			case n.Tok == token.BREAK && (name == "" || name == x.label):
				c.Replace(x.leave(false))
			default:
				c.Replace(x.out(nil, n))
			}
			return false
		}
		return true
	}, func(c *astutil.Cursor) bool {
		if len(open) > 0 && open[len(open)-1].node == c.Node() {
			open = open[:len(open)-1]
		}
		return true
	})
}

// returned lowers a return inside the body: its values wait in variables.
func (x *exits) returned(r *ast.ReturnStmt) ast.Stmt {
	sig := x.enclosing
	if sig == nil || sig.Results().Len() == 0 || len(r.Results) == 0 {
		return x.out(nil, &ast.ReturnStmt{})
	}
	if x.names == nil {
		for i := range sig.Results().Len() {
			name := x.unit.scope.fresh("result")
			x.names = append(x.names, name)
			x.declareBefore(name, sig.Results().At(i).Type())
		}
		x.results = append(x.results, x.before...)
		x.before = nil
	}
	var lhs, values []ast.Expr
	for _, n := range x.names {
		lhs = append(lhs, ast.NewIdent(n))
		values = append(values, ast.NewIdent(n))
	}
	if len(r.Results) != len(lhs) { // one call gives all of them
		return x.out([]ast.Stmt{&ast.AssignStmt{Lhs: lhs, Tok: token.ASSIGN, Rhs: r.Results}}, &ast.ReturnStmt{Results: values})
	}
	var set []ast.Stmt
	for i := range lhs {
		set = append(set, &ast.AssignStmt{Lhs: lhs[i : i+1], Tok: token.ASSIGN, Rhs: r.Results[i : i+1]})
	}
	return x.out(set, &ast.ReturnStmt{Results: values})
}
