package frontend

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// A TypeInfo is what the host knows of a type that boxes hold, or that they are
// asserted to.
type TypeInfo struct {
	ID   int
	Name string // as %T prints it
	Type types.Type
	// Interface is set for interface types; a compiled one is Package.Symbol.
	Interface       bool
	Package, Symbol string
	Methods         []Method
}

// A Method is one of a type's method set.
type Method struct {
	Name string
	// Signature identifies parameters and results among the session's types,
	// Plain among those of compiled packages, in the words of package reflect.
	Signature, Plain string
	// Path are the embedded fields that lead to the receiver.
	Path []int
	// Slot is the variable that holds the function, whose first parameter is the
	// receiver; empty for methods of compiled types and of interfaces.
	Slot string
	// Pointer is set if the receiver is a pointer.
	Pointer bool
}

// typeInfos gives every type that the unit boxes its number and describes it,
// and describes known types again when the cell changes methods.
func (e *emitter) typeInfos(b *boxer) {
	u, s := e.unit, e.unit.scope
	ids := map[string]int{}
	maps.Copy(ids, s.typeIDs)
	described := map[int]bool{}
	describe := func(key string, t types.Type) int {
		id, ok := ids[key]
		if !ok {
			s.serial++
			id = s.serial
			ids[key] = id
		}
		if !described[id] {
			described[id] = true
			e.program.Types = append(e.program.Types, e.typeInfo(id, t))
		}
		return id
	}
	for _, n := range b.numbers {
		n.lit.Value = itoa(describe(e.typeKey(n.t), n.t))
	}
	methods := len(u.types) > 0 || len(e.slots) > 0
	if methods {
		for _, name := range b.before.Scope().Names() {
			tn, ok := b.before.Scope().Lookup(name).(*types.TypeName)
			if !ok || tn.IsAlias() || types.IsInterface(tn.Type()) {
				continue
			}
			if n, ok := tn.Type().(*types.Named); ok && n.TypeParams().Len() > 0 {
				continue
			}
			for _, t := range []types.Type{tn.Type(), types.NewPointer(tn.Type())} {
				key := e.typeKey(t)
				if _, known := ids[key]; known || types.NewMethodSet(t).Len() > 0 {
					describe(key, t)
				}
			}
		}
	}
	e.typeIDs = ids
}

func (e *emitter) typeInfo(id int, t types.Type) TypeInfo {
	info := TypeInfo{ID: id, Name: TypeName(t, e.titles), Type: t}
	if it, ok := t.Underlying().(*types.Interface); ok {
		info.Interface = true
		if n, ok := types.Unalias(t).(*types.Named); ok && !inSession(n) {
			info.Symbol = n.Obj().Name()
			if n.Obj().Pkg() != nil {
				info.Package = n.Obj().Pkg().Path()
			}
		}
		for m := range it.Methods() {
			info.Methods = append(info.Methods, e.methodInfo(m))
		}
		return info
	}
	set := types.NewMethodSet(t)
	for sel := range set.Methods() {
		f := sel.Obj().(*types.Func)
		m := e.methodInfo(f)
		m.Path = slices.Clone(sel.Index()[:len(sel.Index())-1])
		if receiverNamed(f) != nil {
			m.Slot = e.methodSlot(f)
		}
		_, m.Pointer = f.Signature().Recv().Type().Underlying().(*types.Pointer)
		info.Methods = append(info.Methods, m)
	}
	return info
}

func (e *emitter) methodInfo(f *types.Func) Method {
	words := func(write func(t types.Type) string) string {
		sig := f.Signature()
		var parts []string
		for _, list := range []*types.Tuple{sig.Params(), sig.Results()} {
			var types []string
			for v := range list.Variables() {
				types = append(types, write(v.Type()))
			}
			parts = append(parts, strings.Join(types, ", "))
		}
		return strings.Join(parts, " -> ") + fmt.Sprint(sig.Variadic())
	}
	return Method{Name: f.Name(), Signature: words(e.typeKey), Plain: words(func(t types.Type) string {
		return types.TypeString(t, func(p *types.Package) string { return p.Name() })
	})}
}

// typeKey identifies a type through all cells: types of the session under the
// interpreter's names, which no other type ever has.
func (e *emitter) typeKey(t types.Type) string {
	u := e.unit
	if local := localType(t); local != "" {
		pos := token.NoPos
		walkNamed(t, func(n *types.Named) {
			if n.Obj().Name() == local {
				pos = n.Obj().Pos()
			}
		})
		return fmt.Sprintf("%s local %s", t, u.fset.Position(pos))
	}
	x, text, err := u.spell(t)
	if err != nil {
		return text
	}
	ast.Inspect(x, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			return false
		case *ast.Ident:
			if obj := u.pkg.Scope().Lookup(n.Name); obj != nil && e.running[obj] != "" && e.running[obj] != "any" {
				n.Name = e.running[obj]
			}
		}
		return true
	})
	return types.ExprString(x)
}

// walkNamed visits the types of the session in a type.
func walkNamed(t types.Type, visit func(n *types.Named)) {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		visit(t)
	case *types.Pointer:
		walkNamed(t.Elem(), visit)
	case *types.Slice:
		walkNamed(t.Elem(), visit)
	case *types.Array:
		walkNamed(t.Elem(), visit)
	case *types.Chan:
		walkNamed(t.Elem(), visit)
	case *types.Map:
		walkNamed(t.Key(), visit)
		walkNamed(t.Elem(), visit)
	}
}
