package frontend

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// shown are the results of the expression that a cell ends with, nil if there
// is nothing to display.
func (u *unit) shown() []types.Type {
	if len(u.items) == 0 || strings.HasSuffix(strings.TrimSpace(u.cell.Text), ";") {
		return nil
	}
	it := u.items[len(u.items)-1]
	if !it.show {
		return nil
	}
	x := it.placedStmt.(*ast.ExprStmt).X
	tv, ok := u.info.Types[x]
	if !ok || tv.IsVoid() || tv.Type == nil || u.prints(x) {
		return nil
	}
	if t, ok := tv.Type.(*types.Tuple); ok {
		var out []types.Type
		for i := range t.Len() {
			out = append(out, t.At(i).Type())
		}
		return out
	}
	return []types.Type{types.Default(tv.Type)}
}

// overflowing refuses to display a constant that no variable could hold.
func (u *unit) overflowing() error {
	if len(u.items) == 0 || !u.items[len(u.items)-1].show {
		return nil
	}
	x := u.items[len(u.items)-1].placedStmt.(*ast.ExprStmt).X
	tv := u.info.Types[x]
	if tv.Value == nil || !isUntyped(tv.Type) || tv.Value.Kind() != constant.Int {
		return nil
	}
	if _, fits := constant.Int64Val(tv.Value); fits {
		return nil
	}
	return Errors{*u.errorAt(x.Pos(), fmt.Sprintf("cannot use %s (untyped int constant %s) as int value (overflows)", types.ExprString(x), tv.Value.ExactString()))}
}

// prints reports whether x calls one of fmt's printing functions, whose byte
// counts nobody wants to see.
func (u *unit) prints(x ast.Expr) bool {
	call, ok := ast.Unparen(x).(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	f, ok := u.info.Uses[sel.Sel].(*types.Func)
	return ok && f.Pkg() != nil && f.Pkg().Path() == "fmt" && (strings.HasPrefix(f.Name(), "Print") || strings.HasPrefix(f.Name(), "Fprint"))
}

// run lowers what the cell executes and declares its variables.
func (e *emitter) run(vars *[]ast.Decl) ([]ast.Stmt, error) {
	u := e.unit
	declared := map[string]bool{}
	body := block()
	for _, it := range u.items {
		switch {
		case it.spec == nil && it.show && len(e.user.shown) > 0:
			e.inFunc = ""
			body.List = append(append(body.List, e.place(it.pos)), e.show(it)...)
		case it.spec == nil:
			body.List = append(body.List, it.placedStmt)
		default:
			for _, id := range it.placedSpec.Names {
				if id.Name == "_" || declared[id.Name] {
					continue
				}
				declared[id.Name] = true
				obj := u.pkg.Scope().Lookup(id.Name)
				if d := u.defs[id.Name]; d != nil && d.kind == isVar && e.running[obj] == d.running {
					continue
				}
				if local := localType(obj.Type()); local != "" {
					e.fail(id.Pos(), id.Name+" has the type "+local+", which is declared inside a function: declare it at the top level of a cell")
					continue
				}
				spelled, text, err := u.spell(obj.Type())
				if err != nil || e.unexported(obj.Type()) {
					e.fail(id.Pos(), id.Name+" has the type "+text+", which has no name outside its package: give it an interface type")
					continue
				}
				*vars = append(*vars, &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{&ast.ValueSpec{Names: []*ast.Ident{ast.NewIdent(e.running[obj])}, Type: e.named(spelled)}}})
			}
			body.List = append(body.List, e.definition(it)...)
		}
	}
	if len(body.List) == 0 {
		return nil, nil
	}
	f := &ast.FuncDecl{Name: ast.NewIdent("_"), Type: &ast.FuncType{Params: &ast.FieldList{}}, Body: body}
	e.inFunc = ""
	e.bodies(f)
	e.expressions(f)
	return f.Body.List, nil
}

// unexported reports whether a type cannot be named outside its package.
func (e *emitter) unexported(t types.Type) bool {
	for {
		switch x := t.(type) {
		case *types.Pointer:
			t = x.Elem()
			continue
		case *types.Slice:
			t = x.Elem()
			continue
		case *types.Named:
			o := x.Obj()
			return o.Pkg() != nil && o.Pkg() != e.unit.pkg && !o.Exported()
		}
		return false
	}
}

// definition is the assignment that a variable's definition comes down to.
func (e *emitter) definition(it *item) []ast.Stmt {
	u := e.unit
	spec := it.placedSpec
	name := func(id *ast.Ident) ast.Expr {
		if id.Name == "_" {
			return &ast.Ident{NamePos: id.Pos(), Name: "_"}
		}
		return &ast.Ident{NamePos: id.Pos(), Name: e.running[u.pkg.Scope().Lookup(id.Name)]}
	}
	if len(spec.Values) == 0 {
		var out []ast.Stmt
		for _, id := range spec.Names {
			if id.Name == "_" {
				continue
			}
			zero := u.scope.fresh("zero")
			spelled, _, _ := u.spell(u.pkg.Scope().Lookup(id.Name).Type())
			out = append(out, block(
				&ast.DeclStmt{Decl: &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{&ast.ValueSpec{Names: []*ast.Ident{ast.NewIdent(zero)}, Type: e.named(spelled)}}}},
				&ast.AssignStmt{Lhs: []ast.Expr{name(id)}, Tok: token.ASSIGN, Rhs: []ast.Expr{ast.NewIdent(zero)}}))
		}
		return out
	}
	var lhs []ast.Expr
	for _, id := range spec.Names {
		lhs = append(lhs, name(id))
	}
	if len(lhs) > 1 && len(spec.Values) == len(lhs) {
		p := &parallel{emitter: e}
		var set []ast.Stmt
		for i, v := range spec.Values {
			t := types.Default(u.info.TypeOf(v))
			if obj := u.pkg.Scope().Lookup(spec.Names[i].Name); obj != nil && spec.Names[i].Name != "_" {
				t = obj.Type()
			}
			set = append(set, &ast.AssignStmt{Lhs: lhs[i : i+1], Tok: token.ASSIGN, TokPos: it.pos, Rhs: []ast.Expr{p.hold(v, t)}})
		}
		return append(p.first, set...)
	}
	return []ast.Stmt{&ast.AssignStmt{Lhs: lhs, Tok: token.ASSIGN, TokPos: it.pos, Rhs: spec.Values}}
}

// show displays the value of the last expression; an error that comes last
// fails the cell.
func (e *emitter) show(it *item) []ast.Stmt {
	u := e.unit
	results := e.user.shown
	x := it.placedStmt.(*ast.ExprStmt).X
	var out []ast.Stmt
	values := []ast.Expr{x}
	if len(results) > 1 {
		a := &ast.AssignStmt{Tok: token.DEFINE, TokPos: it.pos, Rhs: []ast.Expr{x}}
		values = nil
		for range results {
			n := u.scope.fresh("shown")
			a.Lhs = append(a.Lhs, &ast.Ident{NamePos: it.pos, Name: n})
			values = append(values, ast.NewIdent(n))
		}
		out = append(out, a)
	}
	last := len(results) - 1
	var failure ast.Stmt
	if types.Implements(results[last], errorType) && types.IsInterface(results[last]) {
		if len(results) == 1 { // the place is that of the value, not of what it calls
			n := u.scope.fresh("shown")
			out = append(out, define(ast.NewIdent(n), x))
			values[0] = ast.NewIdent(n)
		}
		failure = block(e.place(it.pos), &ast.ExprStmt{X: host("Fail", values[last])})
		values, results = values[:last], results[:last]
	}
	if len(results) > 0 {
		u.scope.serial++
		id := u.scope.serial
		e.program.Shown[id] = results
		args := []ast.Expr{&ast.BasicLit{Kind: token.INT, Value: itoa(id)}}
		for _, v := range values {
			args = append(args, v)
		}
		out = append(out, &ast.ExprStmt{X: host("Show", args...)})
	}
	if failure != nil {
		out = append(out, failure)
	}
	return out
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
