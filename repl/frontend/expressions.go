package frontend

import (
	"go/ast"
	"go/token"
	"go/types"
	"strconv"

	"golang.org/x/tools/go/ast/astutil"
)

func itoa(n int) string { return strconv.Itoa(n) }

// expressions gives names the interpreter's spelling and replaces what it lacks
// or gets wrong: constants become literals, receives can be interrupted.
func (e *emitter) expressions(root ast.Node) {
	info := e.unit.info
	astutil.Apply(root, func(c *astutil.Cursor) bool {
		switch n := c.Node().(type) {
		case *ast.BasicLit:
			return false
		case *ast.CallExpr:
			e.calledMethod(n)
		}
		switch n := c.Node().(type) {
		case *ast.SelectorExpr:
			if f, ok := info.Uses[n.Sel].(*types.Func); ok && f.FullName() == "fmt.Printf" {
				c.Replace(&ast.SelectorExpr{X: ast.NewIdent(hostName), Sel: ast.NewIdent("Printf")})
				return false
			}
			if f := e.methodValue(n); f != nil {
				c.Replace(f)
				return true
			}
			if star, ok := ast.Unparen(n.X).(*ast.StarExpr); ok && info.Types[star].IsValue() {
				if _, ok := info.TypeOf(star).Underlying().(*types.Struct); ok { // the interpreter gives (*p).f no type in literals
					n.X = star.X
				}
			}
		}
		switch n := c.Node().(type) {
		case ast.Expr:
			if lit := e.folded(n); lit != nil {
				c.Replace(lit)
				return false
			}
		}
		return true
	}, func(c *astutil.Cursor) bool {
		switch n := c.Node().(type) {
		case *ast.Ident:
			e.rename(n)
		case *ast.UnaryExpr:
			if n.Op != token.ARROW {
				break
			}
			if t := info.TypeOf(n); t != nil {
				tuple, ok := t.(*types.Tuple)
				elem := t
				if ok {
					elem = tuple.At(0).Type()
				}
				c.Replace(e.receive(n.X, elem, ok))
			}
		case *ast.BinaryExpr:
			if startsWithKeys(n) { // begin with something else, which is true
				begin := &ast.BinaryExpr{X: ast.NewIdent(placeVar), Op: token.GEQ, Y: &ast.BasicLit{Kind: token.INT, Value: "0"}}
				n.X = &ast.ParenExpr{X: &ast.BinaryExpr{X: begin, Op: token.LAND, Y: n.X}}
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok {
				if b, ok := info.Uses[id].(*types.Builtin); ok && b.Name() == "recover" {
					c.Replace(host("Recover"))
				}
			}
		}
		return true
	})
}

// startsWithKeys tells left operands of && and || in which the interpreter would
// take the first key of a composite literal for the operand's value.
func startsWithKeys(n *ast.BinaryExpr) bool {
	if n.Op != token.LAND && n.Op != token.LOR {
		return false
	}
	found := false
	ast.Inspect(n.X, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.KeyValueExpr:
			found = true
		}
		return !found
	})
	return found
}

// folded is the literal of a constant expression, or nil.
func (e *emitter) folded(n ast.Expr) ast.Expr {
	tv, ok := e.unit.info.Types[n]
	if !ok || tv.Value == nil || tv.IsType() {
		return nil
	}
	switch x := n.(type) {
	case *ast.Ident:
		obj := e.unit.info.Uses[x]
		if obj == nil || obj.Pkg() == nil {
			return nil
		}
	case *ast.ParenExpr:
		return nil // its operand is next
	case *ast.SelectorExpr:
		if id, ok := x.X.(*ast.Ident); ok {
			if _, ok := e.unit.info.Uses[id].(*types.PkgName); ok && !isUntyped(tv.Type) {
				if _, named := tv.Type.(*types.Named); named {
					return nil // the package has it
				}
			}
		}
	}
	b, ok := tv.Type.Underlying().(*types.Basic)
	if !ok {
		return nil
	}
	lit := constantLiteral(tv.Value, tv.Type)
	switch {
	case b.Info()&types.IsUntyped != 0:
		return lit
	case b.Info()&types.IsFloat != 0 && b.Kind() != types.Float64:
	case types.Identical(tv.Type, types.Typ[types.Int]), types.Identical(tv.Type, types.Typ[types.String]), types.Identical(tv.Type, types.Typ[types.Bool]), types.Identical(tv.Type, types.Typ[types.Float64]):
		return lit
	}
	spelled, _, err := e.unit.spell(tv.Type)
	if err != nil {
		return nil
	}
	return &ast.CallExpr{Fun: &ast.ParenExpr{X: e.named(spelled)}, Args: []ast.Expr{lit}}
}

func isUntyped(t types.Type) bool {
	b, ok := t.(*types.Basic)
	return ok && b.Info()&types.IsUntyped != 0
}

// rename gives an identifier the interpreter's name of what it means.
func (e *emitter) rename(id *ast.Ident) {
	obj := e.unit.info.Uses[id]
	if obj == nil {
		obj = e.unit.info.Defs[id]
	}
	switch obj := obj.(type) {
	case nil:
	case *types.PkgName:
		id.Name = alias(obj.Imported().Path())
	case *types.Var:
		if obj.IsField() && obj.Embedded() {
			if name := e.embeddedName(obj.Type()); name != "" {
				id.Name = name
			}
		} else if name := e.running[obj]; name != "" {
			id.Name = name
		}
	case *types.Func:
		if obj == e.self {
			id.Name = e.selfName
		} else if name := e.running[obj]; name != "" && obj.Signature().Recv() == nil {
			id.Name = name
		}
	default:
		if name := e.running[obj]; name != "" {
			id.Name = name
		}
	}
}

// embeddedName is the field name that an embedded type of the session gets.
func (e *emitter) embeddedName(t types.Type) string {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	switch t := t.(type) {
	case *types.Named:
		return e.running[t.Obj()]
	case *types.Alias:
		return e.running[t.Obj()]
	}
	return ""
}
