package frontend

import (
	"go/ast"
	"go/token"
	"go/types"
)

// The interpreter assigns several values one by one, and when one of them is a
// call or nil it forgets the others or panics. So an assignment a, b = x, y is
// taken apart here as Go defines it: first the operands of the left side and
// the values, from left to right, then the assignments.

// parallel lowers an assignment of several values to several places.
func (e *emitter) parallel(st *ast.AssignStmt) []ast.Stmt {
	p := &parallel{emitter: e, assigned: map[types.Object]bool{}}
	for _, l := range st.Lhs {
		if id, ok := ast.Unparen(l).(*ast.Ident); ok {
			p.assigned[e.object(id)] = true
		}
	}
	var last []ast.Stmt
	targets := make([]ast.Expr, len(st.Lhs))
	for i, l := range st.Lhs {
		targets[i] = p.target(l)
	}
	if len(st.Rhs) == 1 {
		return append(append(p.first, p.spread(st, targets)), p.last...)
	}
	for i, r := range st.Rhs {
		to := e.unit.info.TypeOf(st.Lhs[i])
		id, ok := st.Lhs[i].(*ast.Ident)
		if ok && id.Name == "_" {
			to = types.Default(e.unit.info.TypeOf(r))
		}
		value := p.hold(r, to)
		if ok && id.Name == "_" {
			continue
		}
		tok := token.ASSIGN
		if ok && st.Tok == token.DEFINE && e.unit.info.Defs[id] != nil {
			tok = token.DEFINE
		}
		last = append(last, &ast.AssignStmt{Lhs: []ast.Expr{targets[i]}, Tok: tok, Rhs: []ast.Expr{value}})
	}
	return append(p.first, last...)
}

type parallel struct {
	*emitter
	assigned map[types.Object]bool // variables on the left side
	first    []ast.Stmt            // what happens before the first assignment
	last     []ast.Stmt            // the assignments of what one expression gives
}

// spread takes the values that one expression gives into variables, from which
// they are assigned.
func (p *parallel) spread(st *ast.AssignStmt, targets []ast.Expr) ast.Stmt {
	get := &ast.AssignStmt{Tok: token.DEFINE, TokPos: st.TokPos, Rhs: st.Rhs}
	for i, l := range st.Lhs {
		id, ok := l.(*ast.Ident)
		if ok && id.Name == "_" {
			get.Lhs = append(get.Lhs, ast.NewIdent("_"))
			continue
		}
		name := p.unit.scope.fresh("value")
		get.Lhs = append(get.Lhs, ast.NewIdent(name))
		tok := token.ASSIGN
		if ok && st.Tok == token.DEFINE && p.unit.info.Defs[id] != nil {
			tok = token.DEFINE
		}
		p.last = append(p.last, &ast.AssignStmt{Lhs: []ast.Expr{targets[i]}, Tok: tok, Rhs: []ast.Expr{ast.NewIdent(name)}})
	}
	return get
}

// hold computes an expression of type t into a variable of its own.
func (p *parallel) hold(x ast.Expr, t types.Type) ast.Expr {
	name := p.unit.scope.fresh("value")
	if tv := p.unit.info.Types[x]; tv.Type != nil && tv.Value == nil && types.Identical(tv.Type, t) {
		p.first = append(p.first, define(ast.NewIdent(name), x))
		return ast.NewIdent(name)
	}
	spelled, _, err := p.unit.spell(t)
	if err != nil {
		p.fail(x.Pos(), "a value has a type that cannot be written: "+t.String())
		return x
	}
	p.first = append(p.first, &ast.DeclStmt{Decl: &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{&ast.ValueSpec{
		Names: []*ast.Ident{ast.NewIdent(name)}, Type: p.named(spelled), Values: []ast.Expr{x}}}}})
	return ast.NewIdent(name)
}

// operand is hold for the parts of a place, unless the assignments cannot
// change what they are.
func (p *parallel) operand(x ast.Expr) ast.Expr {
	steady := true
	ast.Inspect(x, func(n ast.Node) bool {
		switch n := n.(type) {
		case nil, *ast.BasicLit, *ast.ParenExpr:
		case *ast.BinaryExpr:
			steady = steady && n.Op != token.QUO && n.Op != token.REM
		case *ast.Ident:
			steady = steady && !p.assigned[p.object(n)]
		default:
			steady = false
		}
		return steady
	})
	if steady || p.unit.info.Types[x].Value != nil {
		return x
	}
	return p.hold(x, types.Default(p.unit.info.TypeOf(x)))
}

// target is a place whose operands have been computed.
func (p *parallel) target(l ast.Expr) ast.Expr {
	switch l := l.(type) {
	case *ast.ParenExpr:
		return p.target(l.X)
	case *ast.StarExpr:
		return &ast.StarExpr{X: p.operand(l.X)}
	case *ast.SelectorExpr:
		if p.unit.info.Selections[l] == nil { // a variable of a package
			return l
		}
		if _, pointer := p.unit.info.TypeOf(l.X).Underlying().(*types.Pointer); pointer {
			l.X = p.operand(l.X)
		} else {
			l.X = p.target(l.X)
		}
	case *ast.IndexExpr:
		if _, array := p.unit.info.TypeOf(l.X).Underlying().(*types.Array); array {
			l.X = p.target(l.X)
		} else {
			l.X = p.operand(l.X)
		}
		l.Index = p.operand(l.Index)
	}
	return l
}

func (e *emitter) object(id *ast.Ident) types.Object {
	if obj := e.unit.info.Uses[id]; obj != nil {
		return obj
	}
	return e.unit.info.Defs[id]
}

// isParallel tells the assignments that need parallel. Those between variables,
// such as a, b = b, a+b, the interpreter does right and faster.
func (e *emitter) isParallel(st ast.Stmt) bool {
	a, ok := st.(*ast.AssignStmt)
	if !ok || len(a.Lhs) < 2 {
		return false
	}
	if len(a.Rhs) == 1 {
		return e.isSpread(a)
	}
	if a.Tok == token.DEFINE {
		for _, l := range a.Lhs {
			if id := l.(*ast.Ident); id.Name != "_" && e.unit.info.Defs[id] == nil {
				return true
			}
		}
		return false
	}
	for i, r := range a.Rhs {
		from, to := e.unit.info.TypeOf(r), e.unit.info.TypeOf(a.Lhs[i])
		if from == nil || to == nil || !types.Identical(from, to) || !e.plain(r) || !e.plain(a.Lhs[i]) {
			return true
		}
	}
	return false
}

// isSpread tells assignments of what one expression gives to places that are
// not variables of just those types.
func (e *emitter) isSpread(a *ast.AssignStmt) bool {
	tuple, ok := e.unit.info.TypeOf(a.Rhs[0]).(*types.Tuple)
	if !ok || tuple.Len() != len(a.Lhs) {
		return false
	}
	for i, l := range a.Lhs {
		id, ok := l.(*ast.Ident)
		switch {
		case !ok:
			return true
		case id.Name == "_", e.unit.info.Uses[id] == nil: // nothing, or a new variable
		case !types.Identical(e.unit.info.TypeOf(id), tuple.At(i).Type()):
			return true
		}
	}
	return false
}

// plain tells expressions of variables and operators alone, of types that the
// interpreter keeps as Go does.
func (e *emitter) plain(x ast.Expr) bool {
	if _, basic := e.unit.info.TypeOf(x).Underlying().(*types.Basic); !basic || e.unit.info.Types[x].Value != nil {
		return false
	}
	yes := true
	ast.Inspect(x, func(n ast.Node) bool {
		switch n := n.(type) {
		case nil, *ast.BasicLit, *ast.ParenExpr, *ast.BinaryExpr, *ast.IndexExpr:
		case *ast.Ident:
			_, isNil := e.unit.info.Uses[n].(*types.Nil)
			yes = yes && !isNil && n.Name != "_"
		default:
			yes = false
		}
		return yes
	})
	return yes
}

// returned lowers the return of several values from a function whose results
// have names: the interpreter would write the first before it reads the second.
func (e *emitter) returned(r *ast.ReturnStmt) []ast.Stmt {
	sig := e.enclosing
	if sig == nil || len(r.Results) < 2 || sig.Results().At(0).Name() == "" {
		return []ast.Stmt{r}
	}
	p := &parallel{emitter: e}
	values := make([]ast.Expr, len(r.Results))
	for i, x := range r.Results {
		values[i] = p.hold(x, sig.Results().At(i).Type())
	}
	return append(p.first, &ast.ReturnStmt{Results: values})
}
