package frontend

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
)

// Names that the host defines in the interpreter.
const (
	stopFlag = "stop__" // set while a running cell is to stop
	placeVar = "at__"   // number of the statement that runs
	hostName = "rt__"   // the host's package
)

// HelperPrefix begins the names of functions that lowering adds.
const HelperPrefix = "rt_"

// function lowers a function's body and then its expressions, in place.
func (e *emitter) function(d *ast.FuncDecl, key string) {
	e.inFunc = key
	if sl := e.slots[key]; sl != nil && d.Recv == nil {
		e.self, e.selfName = e.unit.pkg.Scope().Lookup(key), sl.impl
		defer func() { e.self = nil }()
	}
	e.bodies(d)
	e.expressions(d)
}

// bodies lowers every function body in a tree.
func (e *emitter) bodies(n ast.Node) {
	type function struct {
		body *ast.BlockStmt
		typ  *ast.FuncType
		sig  *types.Signature
	}
	var found []function
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Body != nil {
				var sig *types.Signature
				if obj := e.unit.info.Defs[n.Name]; obj != nil {
					sig = obj.Type().(*types.Signature)
				}
				found = append(found, function{n.Body, n.Type, sig})
			}
		case *ast.FuncLit:
			sig, _ := e.unit.info.TypeOf(n).(*types.Signature)
			found = append(found, function{n.Body, n.Type, sig})
		}
		return true
	})
	for i := len(found) - 1; i >= 0; i-- { // inner ones first
		f := found[i]
		e.enclosing = f.sig
		f.body.List = append([]ast.Stmt{e.check()}, e.withDefers(f.typ, f.sig, f.body.List)...)
	}
}

// check stops the cell here if it was interrupted.
func (e *emitter) check() ast.Stmt {
	return &ast.IfStmt{Cond: ast.NewIdent(stopFlag), Body: block(&ast.ExprStmt{X: host("Check")})}
}

func host(name string, args ...ast.Expr) *ast.CallExpr {
	return &ast.CallExpr{Fun: &ast.SelectorExpr{X: ast.NewIdent(hostName), Sel: ast.NewIdent(name)}, Args: args}
}

func block(list ...ast.Stmt) *ast.BlockStmt { return &ast.BlockStmt{List: list} }

func define(lhs ast.Expr, rhs ast.Expr) ast.Stmt {
	return &ast.AssignStmt{Lhs: []ast.Expr{lhs}, Tok: token.DEFINE, Rhs: []ast.Expr{rhs}}
}

// list lowers statements; inner function literals are done already.
func (e *emitter) list(in []ast.Stmt) []ast.Stmt {
	var out []ast.Stmt
	for _, st := range in {
		if st.Pos().IsValid() && e.risky(st) {
			out = append(out, e.place(st.Pos()))
		}
		out = append(out, e.statement(st, "")...)
	}
	return out
}

// place notes where the cell is, for messages.
func (e *emitter) place(pos token.Pos) ast.Stmt {
	s := e.unit.scope
	s.lines = append(s.lines, Line{Pos: s.Fset.Position(pos), Func: e.inFunc})
	return &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent(placeVar)}, Tok: token.ASSIGN, Rhs: []ast.Expr{&ast.BasicLit{Kind: token.INT, Value: strconv.Itoa(len(s.lines) - 1)}}}
}

// risky tells statements that can panic; the others need no place.
func (e *emitter) risky(st ast.Stmt) bool {
	switch st := st.(type) {
	case *ast.BlockStmt, *ast.LabeledStmt, *ast.BranchStmt, *ast.EmptyStmt, *ast.SelectStmt:
		return false
	case *ast.ForStmt:
		return st.Init != nil && e.risky(st.Init) || st.Cond != nil && e.riskyExpr(st.Cond)
	case *ast.RangeStmt:
		return e.riskyExpr(st.X)
	case *ast.IfStmt:
		return st.Init != nil && e.risky(st.Init) || e.riskyExpr(st.Cond)
	case *ast.SwitchStmt:
		return st.Init != nil && e.risky(st.Init) || st.Tag != nil && e.riskyExpr(st.Tag)
	case *ast.TypeSwitchStmt:
		return false
	}
	return e.riskyExpr(st)
}

func (e *emitter) riskyExpr(n ast.Node) bool {
	risk := false
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			risk = risk || !e.unit.info.Types[n.Fun].IsType()
		case *ast.IndexExpr, *ast.SliceExpr, *ast.StarExpr, *ast.TypeAssertExpr, *ast.SendStmt:
			risk = true
		case *ast.SelectorExpr:
			if sel := e.unit.info.Selections[n]; sel != nil {
				_, pointer := sel.Recv().Underlying().(*types.Pointer)
				risk = risk || pointer
			}
		case *ast.BinaryExpr:
			risk = risk || n.Op == token.QUO || n.Op == token.REM
		case *ast.AssignStmt:
			risk = risk || n.Tok == token.QUO_ASSIGN || n.Tok == token.REM_ASSIGN
		}
		return !risk
	})
	return risk
}

// statement lowers one statement, with the label that stands before it.
func (e *emitter) statement(st ast.Stmt, label string) []ast.Stmt {
	labelled := func(st ast.Stmt) ast.Stmt {
		if label == "" {
			return st
		}
		return &ast.LabeledStmt{Label: ast.NewIdent(label), Stmt: st}
	}
	switch st := st.(type) {
	case *ast.LabeledStmt:
		return e.statement(st.Stmt, st.Label.Name)
	case *ast.BlockStmt:
		st.List = e.list(st.List)
	case *ast.AssignStmt:
		if e.isParallel(st) {
			return e.unlabelled(label, e.parallel(st))
		}
	case *ast.ReturnStmt:
		return e.unlabelled(label, e.returned(st))
	case *ast.BranchStmt:
		if st.Tok == token.GOTO { // perhaps a loop
			return e.unlabelled(label, []ast.Stmt{e.check(), st})
		}
	case *ast.IfStmt:
		st.Body.List = e.list(st.Body.List)
		if st.Else != nil {
			st.Else = single(e.statement(st.Else, ""))
		}
		return e.initially(&st.Init, labelled(st))
	case *ast.SwitchStmt:
		if fallsAroundDefault(st) {
			return []ast.Stmt{e.choosing(st, labelled)}
		}
		e.clauses(st.Body)
		return e.initially(&st.Init, labelled(st))
	case *ast.TypeSwitchStmt:
		e.clauses(st.Body)
		return e.initially(&st.Init, labelled(st))
	case *ast.SelectStmt:
		return []ast.Stmt{e.selectStmt(st, labelled)}
	case *ast.ForStmt:
		return e.forStmt(st, labelled)
	case *ast.RangeStmt:
		return e.rangeStmt(st, label, labelled)
	case *ast.DeferStmt:
		return []ast.Stmt{labelled(e.deferStmt(st))}
	case *ast.GoStmt:
		return []ast.Stmt{labelled(e.goStmt(st))}
	case *ast.SendStmt:
		return []ast.Stmt{labelled(&ast.ExprStmt{X: e.send(st)})}
	case *ast.DeclStmt:
		if g := st.Decl.(*ast.GenDecl); g.Tok == token.CONST { // uses are folded
			return []ast.Stmt{labelled(&ast.EmptyStmt{})}
		}
	}
	return []ast.Stmt{labelled(st)}
}

// initially takes the statement before an if, a switch or a for out of it where
// it comes to more than one.
func (e *emitter) initially(init *ast.Stmt, st ast.Stmt) []ast.Stmt {
	if *init == nil || !e.isParallel(*init) {
		return []ast.Stmt{st}
	}
	before := e.parallel((*init).(*ast.AssignStmt))
	*init = nil
	return []ast.Stmt{block(append(before, st)...)}
}

// unlabelled puts a label, which goto may name, before statements.
func (e *emitter) unlabelled(label string, list []ast.Stmt) []ast.Stmt {
	if label == "" {
		return list
	}
	return append([]ast.Stmt{&ast.LabeledStmt{Label: ast.NewIdent(label), Stmt: &ast.EmptyStmt{}}}, list...)
}

func single(list []ast.Stmt) ast.Stmt {
	if len(list) == 1 {
		return list[0]
	}
	return block(list...)
}

func (e *emitter) clauses(body *ast.BlockStmt) {
	for _, c := range body.List {
		cc := c.(*ast.CaseClause)
		cc.Body = e.list(cc.Body)
	}
}

// fallsAroundDefault tells switches with a fallthrough whose default is not the
// last clause: the interpreter moves it to the end.
func fallsAroundDefault(st *ast.SwitchStmt) bool {
	falls, early := false, false
	for i, c := range st.Body.List {
		cc := c.(*ast.CaseClause)
		early = early || cc.List == nil && i < len(st.Body.List)-1
		if n := len(cc.Body); n > 0 {
			b, ok := cc.Body[n-1].(*ast.BranchStmt)
			falls = falls || ok && b.Tok == token.FALLTHROUGH
		}
	}
	return falls && early
}

// choosing makes two switches of one: the first finds the number of the clause,
// the second, over numbers, runs it.
func (e *emitter) choosing(st *ast.SwitchStmt, labelled func(ast.Stmt) ast.Stmt) ast.Stmt {
	chosen := e.unit.scope.fresh("clause")
	find := &ast.SwitchStmt{Tag: st.Tag, Body: &ast.BlockStmt{}}
	run := &ast.SwitchStmt{Tag: ast.NewIdent(chosen), Body: &ast.BlockStmt{}}
	for i, c := range st.Body.List {
		cc := c.(*ast.CaseClause)
		number := &ast.BasicLit{Kind: token.INT, Value: itoa(i + 1)}
		find.Body.List = append(find.Body.List, &ast.CaseClause{List: cc.List, Body: []ast.Stmt{
			&ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent(chosen)}, Tok: token.ASSIGN, Rhs: []ast.Expr{number}}}})
		run.Body.List = append(run.Body.List, &ast.CaseClause{List: []ast.Expr{clone(number)}, Body: e.list(cc.Body)})
	}
	var init []ast.Stmt
	if st.Init != nil {
		init = e.statement(st.Init, "")
	}
	return block(append(init, define(ast.NewIdent(chosen), &ast.BasicLit{Kind: token.INT, Value: "0"}), find, labelled(run))...)
}

// declareBefore puts a variable's declaration before the statement being
// lowered.
func (e *emitter) declareBefore(name string, t types.Type) {
	spelled, _, err := e.unit.spell(t)
	if err != nil {
		e.fail(token.NoPos, "a variable has a type that cannot be written: "+t.String())
		return
	}
	e.before = append(e.before, &ast.DeclStmt{Decl: &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{&ast.ValueSpec{
		Names: []*ast.Ident{ast.NewIdent(name)}, Type: e.named(spelled)}}}})
}

func (e *emitter) fail(pos token.Pos, msg string) {
	e.errs = append(e.errs, *e.unit.errorAt(pos, msg))
}

// named gives a spelled type the interpreter's names.
func (e *emitter) named(t ast.Expr) ast.Expr {
	ast.Inspect(t, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			return false
		case *ast.Ident:
			if obj := e.unit.pkg.Scope().Lookup(n.Name); obj != nil && e.running[obj] != "" {
				n.Name = e.running[obj]
			}
		}
		return true
	})
	return t
}

// goStmt runs a goroutine under a guard: a panic in it is reported and does not
// end the session.
func (e *emitter) goStmt(st *ast.GoStmt) ast.Stmt {
	guard := &ast.DeferStmt{Call: &ast.CallExpr{Fun: &ast.FuncLit{Type: &ast.FuncType{Params: &ast.FieldList{}}, Body: block(
		&ast.IfStmt{Init: define(ast.NewIdent("r__"), &ast.CallExpr{Fun: ast.NewIdent("recover")}),
			Cond: &ast.BinaryExpr{X: ast.NewIdent("r__"), Op: token.NEQ, Y: ast.NewIdent("nil")},
			Body: block(&ast.ExprStmt{X: host("Died", ast.NewIdent("r__"))})})}}}
	if lit, ok := st.Call.Fun.(*ast.FuncLit); ok {
		lit.Body.List = append([]ast.Stmt{guard}, lit.Body.List...)
		return st
	}
	tv := e.unit.info.Types[st.Call.Fun]
	sig, ok := tv.Type.Underlying().(*types.Signature)
	if !ok || tv.IsBuiltin() {
		st.Call = &ast.CallExpr{Fun: &ast.FuncLit{Type: &ast.FuncType{Params: &ast.FieldList{}}, Body: block(guard, &ast.ExprStmt{X: st.Call})}}
		return st
	}
	params := &ast.FieldList{}
	inner := &ast.CallExpr{}
	outer := &ast.CallExpr{}
	add := func(name string, t types.Type, arg ast.Expr) ast.Expr {
		spelled, _, err := e.unit.spell(t)
		if err != nil {
			e.fail(st.Pos(), "a goroutine's argument has a type that cannot be written: "+t.String())
			spelled = ast.NewIdent("any")
		}
		params.List = append(params.List, &ast.Field{Names: []*ast.Ident{ast.NewIdent(name)}, Type: e.named(spelled)})
		outer.Args = append(outer.Args, arg)
		return ast.NewIdent(name)
	}
	inner.Fun = add("f__", sig, st.Call.Fun)
	for i, a := range st.Call.Args {
		t := sig.Params().At(min(i, sig.Params().Len()-1)).Type()
		if sig.Variadic() && i >= sig.Params().Len()-1 {
			if st.Call.Ellipsis.IsValid() {
				inner.Ellipsis = 1
			} else {
				t = t.(*types.Slice).Elem()
			}
		}
		inner.Args = append(inner.Args, add(fmt.Sprintf("a%d__", i), t, a))
	}
	outer.Fun = &ast.FuncLit{Type: &ast.FuncType{Params: params}, Body: block(guard, &ast.ExprStmt{X: inner})}
	return &ast.GoStmt{Call: outer}
}

// send lowers ch <- v to a call that an interrupt can end.
func (e *emitter) send(st *ast.SendStmt) ast.Expr {
	elem := coreChan(e.unit.info.TypeOf(st.Chan)).Elem()
	name := e.helper("send", elem, func(t ast.Expr, name string) *ast.FuncDecl {
		return &ast.FuncDecl{Name: ast.NewIdent(name), Type: &ast.FuncType{Params: fields("c", &ast.ChanType{Dir: ast.SEND, Value: t}, "v", t)}, Body: block(
			waits(&ast.SendStmt{Chan: ast.NewIdent("c"), Value: ast.NewIdent("v")}, &ast.ReturnStmt{})...)}
	})
	return &ast.CallExpr{Fun: ast.NewIdent(name), Args: []ast.Expr{st.Chan, st.Value}}
}

func coreChan(t types.Type) *types.Chan { return t.Underlying().(*types.Chan) }

// receive lowers <-ch, with the comma-ok form if ok is set.
func (e *emitter) receive(ch ast.Expr, elem types.Type, ok bool) ast.Expr {
	what := "receive"
	if ok {
		what = "receiveOK"
	}
	name := e.helper(what, elem, func(t ast.Expr, name string) *ast.FuncDecl {
		results := fields("v", t)
		a := &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent("v")}, Tok: token.ASSIGN, Rhs: []ast.Expr{&ast.UnaryExpr{Op: token.ARROW, X: ast.NewIdent("c")}}}
		values := []ast.Expr{ast.NewIdent("v")}
		if ok {
			results = fields("v", t, "ok", ast.NewIdent("bool"))
			a.Lhs = append(a.Lhs, ast.NewIdent("ok"))
			values = append(values, ast.NewIdent("ok"))
		}
		return &ast.FuncDecl{Name: ast.NewIdent(name), Type: &ast.FuncType{Params: fields("c", &ast.ChanType{Dir: ast.RECV, Value: t}), Results: results},
			Body: block(append(waits(a, &ast.ReturnStmt{Results: values}), &ast.ReturnStmt{Results: values})...)}
	})
	return &ast.CallExpr{Fun: ast.NewIdent(name), Args: []ast.Expr{ch}}
}

// waits are the statements that wait for a communication, after which then
// runs, or for the interrupt. The interpreter takes no case without a body.
func waits(comm ast.Stmt, then ast.Stmt) []ast.Stmt {
	return []ast.Stmt{
		define(ast.NewIdent("done__"), host("Done")),
		&ast.SelectStmt{Body: block(&ast.CommClause{Comm: comm, Body: []ast.Stmt{then}}, interrupted("done__"))},
	}
}

// interrupted is the case of a select that the interrupt brings about.
func interrupted(done string) ast.Stmt {
	return &ast.CommClause{Comm: &ast.ExprStmt{X: &ast.UnaryExpr{Op: token.ARROW, X: ast.NewIdent(done)}}, Body: []ast.Stmt{&ast.ExprStmt{X: host("Check")}}}
}

func fields(pairs ...any) *ast.FieldList {
	out := &ast.FieldList{}
	for i := 0; i < len(pairs); i += 2 {
		out.List = append(out.List, &ast.Field{Names: []*ast.Ident{ast.NewIdent(pairs[i].(string))}, Type: pairs[i+1].(ast.Expr)})
	}
	return out
}

// helper returns the name of a small function for a type, made once per cell.
func (e *emitter) helper(what string, t types.Type, make func(t ast.Expr, name string) *ast.FuncDecl) string {
	spelled, text, err := e.unit.spell(t)
	if err != nil {
		e.fail(token.NoPos, "a channel's element has a type that cannot be written: "+t.String())
		return what
	}
	key := what + " " + text
	if name := e.helpers[key]; name != "" {
		return name
	}
	name := e.unit.scope.fresh(HelperPrefix + what)
	e.helpers[key] = name
	e.decls = append(e.decls, make(e.named(spelled), name))
	return name
}
