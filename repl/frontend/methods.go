package frontend

import (
	"go/ast"
	"go/token"
	"go/types"
)

// MethodDot stands between type and method in the name of the function that a
// method is for the interpreter: a letter that looks like the dot it replaces.
const MethodDot = "\u1427"

// methodSlot is the variable through which a method of a type of the session is
// called: the interpreter knows functions only, whose first parameter is the
// receiver.
func (e *emitter) methodSlot(f *types.Func) string {
	n := receiverNamed(f)
	if n == nil {
		return ""
	}
	if sl := e.slots[n.Obj().Name()+"."+f.Name()]; sl != nil {
		return sl.name
	}
	if d := e.unit.defs[n.Obj().Name()]; d != nil && d.methods[f.Name()] != nil {
		return d.methods[f.Name()].running
	}
	return instanceMethod(n.Obj().Name(), f.Name())
}

// instanceMethod is the slot of a method of an instance of a generic type.
func instanceMethod(instance, method string) string { return instance + MethodDot + method }

// receiverNamed is the type of the session that declares a method, nil for
// other functions.
func receiverNamed(f *types.Func) *types.Named {
	r := f.Signature().Recv()
	if r == nil {
		return nil
	}
	t := types.Unalias(r.Type())
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	n, ok := t.(*types.Named)
	if !ok || !inSession(n) || types.IsInterface(n) {
		return nil
	}
	return n
}

// method lowers a selector of a method to its slot. With bound, the receiver is
// kept in a function value; otherwise it is the call's first argument.
func (e *emitter) method(n *ast.SelectorExpr) (slot string, receiver ast.Expr) {
	sel := e.unit.info.Selections[n]
	if sel == nil || sel.Kind() == types.FieldVal {
		return "", nil
	}
	f := sel.Obj().(*types.Func)
	if receiverNamed(f) == nil {
		return "", nil
	}
	slot = e.methodSlot(f)
	if sel.Kind() == types.MethodExpr {
		return slot, nil
	}
	x, t := n.X, sel.Recv()
	path := sel.Index()
	for _, i := range path[:len(path)-1] {
		if p, ok := t.Underlying().(*types.Pointer); ok {
			t = p.Elem()
		}
		field := t.Underlying().(*types.Struct).Field(i)
		name := field.Name()
		if running := e.embeddedName(field.Type()); running != "" {
			name = running
		}
		x, t = &ast.SelectorExpr{X: x, Sel: &ast.Ident{NamePos: n.X.Pos(), Name: name}}, field.Type()
	}
	_, wants := f.Signature().Recv().Type().Underlying().(*types.Pointer)
	_, has := t.Underlying().(*types.Pointer)
	switch {
	case wants && !has:
		x = &ast.UnaryExpr{OpPos: n.Pos(), Op: token.AND, X: x}
	case has && !wants:
		x = &ast.StarExpr{Star: n.Pos(), X: x}
	}
	return slot, x
}

// calledMethod lowers x.M(args) to slot(x, args).
func (e *emitter) calledMethod(call *ast.CallExpr) {
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return
	}
	slot, receiver := e.method(sel)
	if slot == "" || receiver == nil {
		return
	}
	call.Fun = &ast.Ident{NamePos: sel.Pos(), Name: slot}
	call.Args = append([]ast.Expr{receiver}, call.Args...)
}

// methodValue lowers x.M and T.M where they are not called.
func (e *emitter) methodValue(n *ast.SelectorExpr) ast.Expr {
	slot, receiver := e.method(n)
	if slot == "" {
		return nil
	}
	sel := e.unit.info.Selections[n]
	sig := sel.Type().(*types.Signature)
	params := &ast.FieldList{}
	inner := &ast.CallExpr{Fun: ast.NewIdent(slot)}
	add := func(name string, t types.Type) ast.Expr {
		spelled, _, err := e.unit.spell(t)
		if err != nil {
			e.fail(n.Pos(), "a method's parameter has a type that cannot be written: "+t.String())
			spelled = ast.NewIdent("any")
		}
		params.List = append(params.List, &ast.Field{Names: []*ast.Ident{ast.NewIdent(name)}, Type: e.named(spelled)})
		return ast.NewIdent(name)
	}
	for i := range sig.Params().Len() {
		t := sig.Params().At(i).Type()
		arg := add("a"+itoa(i)+"__", t)
		if i == 0 && receiver == nil {
			arg = e.adapted(sel, arg)
		}
		inner.Args = append(inner.Args, arg)
		if sig.Variadic() && i == sig.Params().Len()-1 {
			params.List[i].Type = &ast.Ellipsis{Elt: params.List[i].Type.(*ast.ArrayType).Elt}
			inner.Ellipsis = 1
		}
	}
	results := &ast.FieldList{}
	for v := range sig.Results().Variables() {
		spelled, _, err := e.unit.spell(v.Type())
		if err != nil {
			e.fail(n.Pos(), "a method's result has a type that cannot be written: "+v.Type().String())
			return nil
		}
		results.List = append(results.List, &ast.Field{Type: e.named(spelled)})
	}
	var st ast.Stmt = &ast.ExprStmt{X: inner}
	if len(results.List) > 0 {
		st = &ast.ReturnStmt{Results: []ast.Expr{inner}}
	}
	function := &ast.FuncType{Params: params, Results: results}
	if receiver == nil {
		return &ast.FuncLit{Type: function, Body: block(st)}
	}
	f := sel.Obj().(*types.Func)
	spelled, _, err := e.unit.spell(f.Signature().Recv().Type())
	if err != nil {
		e.fail(n.Pos(), "a receiver has a type that cannot be written")
		return nil
	}
	inner.Args = append([]ast.Expr{ast.NewIdent(receiverName)}, inner.Args...)
	bind := &ast.FuncLit{Type: &ast.FuncType{Params: fields(receiverName, e.named(spelled)), Results: &ast.FieldList{List: []*ast.Field{{Type: clone(function)}}}},
		Body: block(&ast.ReturnStmt{Results: []ast.Expr{&ast.FuncLit{Type: function, Body: block(st)}}})}
	return &ast.CallExpr{Fun: &ast.ParenExpr{X: bind}, Args: []ast.Expr{receiver}}
}

// adapted is the receiver of a method expression, T or *T, as the method takes
// it.
func (e *emitter) adapted(sel *types.Selection, x ast.Expr) ast.Expr {
	t := sel.Recv()
	path := sel.Index()
	for _, i := range path[:len(path)-1] {
		if p, ok := t.Underlying().(*types.Pointer); ok {
			t = p.Elem()
		}
		field := t.Underlying().(*types.Struct).Field(i)
		x, t = &ast.SelectorExpr{X: x, Sel: ast.NewIdent(field.Name())}, field.Type()
	}
	_, wants := sel.Obj().(*types.Func).Signature().Recv().Type().Underlying().(*types.Pointer)
	_, has := t.Underlying().(*types.Pointer)
	switch {
	case has && !wants:
		return &ast.StarExpr{X: x}
	case wants && !has:
		return &ast.UnaryExpr{Op: token.AND, X: x}
	}
	return x
}
