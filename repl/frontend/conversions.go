package frontend

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
)

// reads are the packages whose functions look into their arguments by
// reflection: they get a value itself, not its box.
var reads = []string{"encoding/json", "encoding/xml", "encoding/gob", "encoding/binary", "encoding/asn1", "reflect", "text/template", "html/template",
	"sort", "database/sql", "flag", "unsafe", "runtime", "testing/quick", "gonum.org/v1/gonum/mat"}

// scans are the functions of fmt that fill their arguments.
var scans = []string{"Scan", "Scanf", "Scanln", "Sscan", "Sscanf", "Sscanln", "Fscan", "Fscanf", "Fscanln"}

// call converts arguments, and conversions to interfaces.
func (b *boxer) call(c cursor, n *ast.CallExpr) {
	tv := b.info.Types[n.Fun]
	if tv.IsType() {
		if len(n.Args) == 1 && types.IsInterface(tv.Type) {
			if x := b.convert(n.Args[0], tv.Type); x != n.Args[0] {
				c.Replace(x)
			}
		}
		return
	}
	if tv.IsBuiltin() {
		b.builtin(n)
		return
	}
	sig, ok := b.under(n.Fun).(*types.Signature)
	if !ok {
		return
	}
	callee := b.callee(n)
	if callee != nil && callee.Pkg() != nil && callee.Pkg().Path() == "errors" && callee.Name() == "As" && len(n.Args) == 2 {
		if p, ok := b.under(n.Args[1]).(*types.Pointer); ok && mentions(p.Elem()) {
			c.Replace(b.typed(b.host(n.Pos(), "errorAs__", n.Args[0], b.number(p.Elem()), n.Args[1]), types.Typ[types.Bool]))
			return
		}
	}
	looks := callee != nil && callee.Pkg() != nil && (slices.Contains(reads, callee.Pkg().Path()) ||
		callee.Pkg().Path() == "fmt" && slices.Contains(scans, callee.Name()))
	target := func(i int) types.Type {
		if sig.Variadic() && i >= sig.Params().Len()-1 {
			last := sig.Params().At(sig.Params().Len() - 1).Type()
			if n.Ellipsis.IsValid() {
				return last
			}
			if s, ok := last.Underlying().(*types.Slice); ok {
				return s.Elem()
			}
			return nil
		}
		return sig.Params().At(i).Type()
	}
	if tuple, ok := b.info.TypeOf(onlyArg(n)).(*types.Tuple); ok {
		var targets []types.Type
		for i := range tuple.Len() {
			targets = append(targets, target(i))
		}
		n.Args[0] = b.tuple(n.Args[0], tuple, targets)
		return
	}
	for i, a := range n.Args {
		to := target(i)
		if looks && to != nil && types.IsInterface(to) && !isCompiledInterface(to) {
			if from := b.info.TypeOf(a); from != nil && types.IsInterface(from) {
				n.Args[i] = b.host(a.Pos(), "raw__", a)
			}
			continue
		}
		n.Args[i] = b.convert(a, to)
	}
}

func onlyArg(n *ast.CallExpr) ast.Expr {
	if len(n.Args) == 1 {
		return n.Args[0]
	}
	return nil
}

// callee is the function that a call names, nil if it is a value.
func (b *boxer) callee(n *ast.CallExpr) *types.Func {
	switch f := ast.Unparen(n.Fun).(type) {
	case *ast.SelectorExpr:
		fn, _ := b.info.Uses[f.Sel].(*types.Func)
		return fn
	case *ast.Ident:
		fn, _ := b.info.Uses[f].(*types.Func)
		return fn
	}
	return nil
}

func (b *boxer) builtin(n *ast.CallExpr) {
	id, ok := ast.Unparen(n.Fun).(*ast.Ident)
	if !ok {
		return
	}
	switch id.Name {
	case "append":
		if s, ok := b.under(n.Args[0]).(*types.Slice); ok && !n.Ellipsis.IsValid() {
			for i := 1; i < len(n.Args); i++ {
				n.Args[i] = b.convert(n.Args[i], s.Elem())
			}
		}
	case "delete":
		if m, ok := b.under(n.Args[0]).(*types.Map); ok {
			n.Args[1] = b.convert(n.Args[1], m.Key())
		}
	case "panic":
		if t := b.info.TypeOf(n.Args[0]); t != nil && types.IsInterface(t) || b.info.Types[n.Args[0]].IsNil() {
			n.Args[0] = b.host(n.Args[0].Pos(), "panicValue__", b.convert(n.Args[0], anyType))
		} else {
			n.Args[0] = b.convert(n.Args[0], anyType)
		}
	}
}

// tuple converts the results of a call that gives several.
func (b *boxer) tuple(x ast.Expr, from *types.Tuple, to []types.Type) ast.Expr {
	needed := false
	for i := range from.Len() {
		needed = needed || to[i] != nil && converts(from.At(i).Type(), to[i])
	}
	if !needed {
		return x
	}
	results := &ast.FieldList{}
	get := &ast.AssignStmt{Tok: token.DEFINE, Rhs: []ast.Expr{x}}
	give := &ast.ReturnStmt{}
	for i := range from.Len() {
		t := to[i]
		if t == nil {
			t = from.At(i).Type()
		}
		results.List = append(results.List, &ast.Field{Type: b.spell(x.Pos(), t)})
		name := "t" + strconv.Itoa(i) + "__"
		get.Lhs = append(get.Lhs, ast.NewIdent(name))
		give.Results = append(give.Results, b.convert(b.typed(ast.NewIdent(name), from.At(i).Type()), t))
	}
	return &ast.CallExpr{Fun: &ast.FuncLit{Type: &ast.FuncType{Func: x.Pos(), Params: &ast.FieldList{}, Results: results}, Body: block(get, give)}}
}

func (b *boxer) assignment(n *ast.AssignStmt) {
	if n.Tok != token.ASSIGN && n.Tok != token.DEFINE {
		return
	}
	target := func(l ast.Expr) types.Type {
		id, ok := l.(*ast.Ident)
		if ok && (id.Name == "_" || n.Tok == token.DEFINE && b.info.Defs[id] != nil) {
			return nil
		}
		return b.info.TypeOf(l)
	}
	if len(n.Lhs) == len(n.Rhs) {
		for i, r := range n.Rhs {
			n.Rhs[i] = b.convert(r, target(n.Lhs[i]))
		}
		return
	}
	if tuple := b.several(n.Rhs[0], len(n.Lhs)); tuple != nil {
		var targets []types.Type
		for _, l := range n.Lhs {
			targets = append(targets, target(l))
		}
		n.Rhs[0] = b.tuple(n.Rhs[0], tuple, targets)
	}
}

// several are the types of the values that one expression gives.
func (b *boxer) several(x ast.Expr, n int) *types.Tuple {
	tuple, _ := b.info.TypeOf(x).(*types.Tuple)
	if tuple == nil || tuple.Len() != n {
		return nil
	}
	return tuple
}

func (b *boxer) valueSpec(n *ast.ValueSpec) {
	if n.Type == nil || len(n.Values) == 0 {
		return
	}
	to := b.info.TypeOf(n.Type)
	if len(n.Values) == len(n.Names) {
		for i, v := range n.Values {
			n.Values[i] = b.convert(v, to)
		}
		return
	}
	if tuple := b.several(n.Values[0], len(n.Names)); tuple != nil {
		n.Values[0] = b.tuple(n.Values[0], tuple, slices.Repeat([]types.Type{to}, len(n.Names)))
	}
}

func (b *boxer) returns(n *ast.ReturnStmt) {
	sig := b.results[len(b.results)-1]
	if sig == nil || sig.Results() == nil || len(n.Results) == 0 {
		return
	}
	if len(n.Results) == sig.Results().Len() {
		for i, r := range n.Results {
			n.Results[i] = b.convert(r, sig.Results().At(i).Type())
		}
		return
	}
	if tuple := b.several(n.Results[0], sig.Results().Len()); tuple != nil {
		var targets []types.Type
		for v := range sig.Results().Variables() {
			targets = append(targets, v.Type())
		}
		n.Results[0] = b.tuple(n.Results[0], tuple, targets)
	}
}

func (b *boxer) composite(n *ast.CompositeLit) {
	t := b.under(n)
	if p, ok := t.(*types.Pointer); ok { // &T left out of an element
		t = p.Elem().Underlying()
	}
	switch t := t.(type) {
	case *types.Struct:
		for i, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if v, ok := b.info.Uses[kv.Key.(*ast.Ident)].(*types.Var); ok {
					kv.Value = b.convert(kv.Value, v.Type())
				}
			} else {
				n.Elts[i] = b.convert(e, t.Field(i).Type())
			}
		}
	case *types.Slice:
		b.elements(n, nil, t.Elem())
	case *types.Array:
		b.elements(n, nil, t.Elem())
	case *types.Map:
		b.elements(n, t.Key(), t.Elem())
	}
}

func (b *boxer) elements(n *ast.CompositeLit, key, elem types.Type) {
	for i, e := range n.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key != nil {
				kv.Key = b.convert(kv.Key, key)
			}
			kv.Value = b.convert(kv.Value, elem)
		} else {
			n.Elts[i] = b.convert(e, elem)
		}
	}
}

// rangeAssign assigns what a range gives in the body where it needs a
// conversion.
func (b *boxer) rangeAssign(n *ast.RangeStmt) {
	if n.Tok != token.ASSIGN {
		return
	}
	var key, value types.Type
	switch t := b.under(n.X).(type) {
	case *types.Slice:
		key, value = types.Typ[types.Int], t.Elem()
	case *types.Array:
		key, value = types.Typ[types.Int], t.Elem()
	case *types.Map:
		key, value = t.Key(), t.Elem()
	case *types.Chan:
		key = t.Elem()
	}
	for _, x := range []struct {
		place *ast.Expr
		from  types.Type
	}{{&n.Value, value}, {&n.Key, key}} {
		if *x.place == nil || x.from == nil || !converts(x.from, b.info.TypeOf(*x.place)) {
			continue
		}
		name := b.unit.scope.fresh("ranged")
		set := &ast.AssignStmt{Lhs: []ast.Expr{*x.place}, Tok: token.ASSIGN, Rhs: []ast.Expr{b.convert(b.typed(ast.NewIdent(name), x.from), b.info.TypeOf(*x.place))}}
		n.Body.List = append([]ast.Stmt{set}, n.Body.List...)
		*x.place = ast.NewIdent(name)
		n.Tok = token.DEFINE
		if other := &n.Key; x.place == other || *other == nil {
			continue
		} else if id, ok := (*other).(*ast.Ident); !ok || id.Name != "_" {
			renamed := b.unit.scope.fresh("ranged")
			n.Body.List = append([]ast.Stmt{&ast.AssignStmt{Lhs: []ast.Expr{*other}, Tok: token.ASSIGN,
				Rhs: []ast.Expr{b.convert(b.typed(ast.NewIdent(renamed), key), b.info.TypeOf(*other))}}}, n.Body.List...)
			*other = ast.NewIdent(renamed)
		}
		return
	}
}
