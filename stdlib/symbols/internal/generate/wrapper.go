package main

import (
	"fmt"
	"go/types"
	"strings"
)

// implementable reports whether interpreted code can implement the type: an
// interface, declared here rather than renamed, with exported methods only.
// The interpreter looks a wrapper up by the package that declares the type.
func implementable(o *types.TypeName) bool {
	i, ok := o.Type().Underlying().(*types.Interface)
	if !ok || i.NumMethods() == 0 {
		return false
	}
	n, ok := types.Unalias(o.Type()).(*types.Named)
	if !ok || n.Obj().Pkg() != o.Pkg() || n.Obj().Name() != o.Name() {
		return false
	}
	for m := range i.Methods() {
		if !m.Exported() {
			return false
		}
	}
	return true
}

// wrapper writes the struct that implements an interface by calling its
// fields, and returns its name; not for a method that mentions a type which
// cannot be named here.
func (e *emitter) wrapper(o *types.TypeName) (string, bool) {
	iface := o.Type().Underlying().(*types.Interface)
	for m := range iface.Methods() {
		if !nameable(m.Type()) {
			return "", false
		}
	}
	name := "wrap_" + flat(e.pkg.Path()) + "_" + o.Name()
	var fields, methods strings.Builder
	for m := range iface.Methods() {
		params, args := e.params(m.Signature())
		results := e.results(m.Signature())
		fmt.Fprintf(&fields, "W%s func(%s)%s\n", m.Name(), params, results)
		fmt.Fprintf(&methods, "func (w %s) %s(%s)%s {\n", name, m.Name(), params, results)
		if m.Name() == "String" && results == " string" && params == "" {
			// A value may be printed before its methods are bound.
			methods.WriteString("if w.WString == nil {\nreturn \"\"\n}\n")
		}
		if results != "" {
			methods.WriteString("return ")
		}
		fmt.Fprintf(&methods, "w.W%s(%s)\n}\n\n", m.Name(), args)
	}
	fmt.Fprintf(&e.body, "\ntype %s struct {\nIValue any\n%s}\n\n%s", name, fields.String(), methods.String())
	return name, true
}

// params returns the parameter list of a signature and the arguments that
// pass it on.
func (e *emitter) params(s *types.Signature) (params, args string) {
	var ps, as []string
	for i := range s.Params().Len() {
		t := s.Params().At(i).Type()
		arg := fmt.Sprintf("a%d", i)
		if s.Variadic() && i == s.Params().Len()-1 {
			ps = append(ps, arg+" ..."+e.typeText(t.(*types.Slice).Elem()))
			as = append(as, arg+"...")
		} else {
			ps = append(ps, arg+" "+e.typeText(t))
			as = append(as, arg)
		}
	}
	return strings.Join(ps, ", "), strings.Join(as, ", ")
}

// results returns the result list of a signature, with a space before it.
func (e *emitter) results(s *types.Signature) string {
	var rs []string
	for v := range s.Results().Variables() {
		rs = append(rs, e.typeText(v.Type()))
	}
	switch len(rs) {
	case 0:
		return ""
	case 1:
		return " " + rs[0]
	}
	return " (" + strings.Join(rs, ", ") + ")"
}

func (e *emitter) typeText(t types.Type) string {
	return types.TypeString(t, e.importName)
}

// nameable reports whether another package can write the type down.
func nameable(t types.Type) bool {
	switch t := t.(type) {
	case *types.Named:
		for a := range t.TypeArgs().Types() {
			if !nameable(a) {
				return false
			}
		}
		return visible(t.Obj())
	case *types.Alias:
		return visible(t.Obj())
	case *types.Pointer:
		return nameable(t.Elem())
	case *types.Slice:
		return nameable(t.Elem())
	case *types.Array:
		return nameable(t.Elem())
	case *types.Chan:
		return nameable(t.Elem())
	case *types.Map:
		return nameable(t.Key()) && nameable(t.Elem())
	case *types.Tuple:
		for v := range t.Variables() {
			if !nameable(v.Type()) {
				return false
			}
		}
	case *types.Signature:
		return nameable(t.Params()) && nameable(t.Results())
	case *types.Struct:
		for f := range t.Fields() {
			if !f.Exported() || !nameable(f.Type()) {
				return false
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			if !m.Exported() || !nameable(m.Type()) {
				return false
			}
		}
	}
	return true
}

func visible(o *types.TypeName) bool {
	return o.Pkg() == nil || o.Exported() && !hidden(o.Pkg().Path())
}
