package frontend

import (
	"go/types"
	"strconv"
	"strings"
)

// TypeName writes a type as package reflect does, which is what %T prints.
// titles are the user's names of instances of generic types.
func TypeName(t types.Type, titles map[string]string) string {
	return typeNamer{titles, (*types.Package).Name}.name(t)
}

// title is what the user calls an instance. Package reflect writes type
// arguments with their packages' whole paths.
func title(obj types.Object, args *types.TypeList, titles map[string]string) string {
	w := typeNamer{titles, (*types.Package).Path}
	var names []string
	for t := range args.Types() {
		names = append(names, w.name(t))
	}
	return obj.Name() + "[" + strings.Join(names, ",") + "]"
}

type typeNamer struct {
	titles  map[string]string
	pkgName func(*types.Package) string
}

func (w typeNamer) name(t types.Type) string {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		return types.Typ[t.Kind()].Name() // uint8 for byte
	case *types.Named:
		return w.named(t)
	case *types.Pointer:
		return "*" + w.name(t.Elem())
	case *types.Slice:
		return "[]" + w.name(t.Elem())
	case *types.Array:
		return "[" + strconv.FormatInt(t.Len(), 10) + "]" + w.name(t.Elem())
	case *types.Map:
		return "map[" + w.name(t.Key()) + "]" + w.name(t.Elem())
	case *types.Chan:
		elem := w.name(t.Elem())
		switch t.Dir() {
		case types.SendOnly:
			return "chan<- " + elem
		case types.RecvOnly:
			return "<-chan " + elem
		}
		if c, ok := types.Unalias(t.Elem()).(*types.Chan); ok && c.Dir() == types.RecvOnly {
			elem = "(" + elem + ")"
		}
		return "chan " + elem
	case *types.Signature:
		return "func" + w.signature(t)
	case *types.Struct:
		return w.structure(t)
	case *types.Interface:
		return w.interfaceName(t)
	}
	return types.TypeString(t, w.pkgName)
}

func (w typeNamer) named(t *types.Named) string {
	name := t.Obj().Name()
	if user := w.titles[name]; user != "" && inSession(t) {
		name = user
	} else if t.TypeArgs().Len() > 0 {
		name = title(t.Obj(), t.TypeArgs(), w.titles)
	}
	if t.Obj().Pkg() == nil { // error
		return name
	}
	return w.pkgName(t.Obj().Pkg()) + "." + name
}

func (w typeNamer) signature(t *types.Signature) string {
	var in, out []string
	for i := range t.Params().Len() {
		p := w.name(t.Params().At(i).Type())
		if t.Variadic() && i == t.Params().Len()-1 {
			p = "..." + strings.TrimPrefix(p, "[]")
		}
		in = append(in, p)
	}
	for v := range t.Results().Variables() {
		out = append(out, w.name(v.Type()))
	}
	text := "(" + strings.Join(in, ", ") + ")"
	switch len(out) {
	case 0:
		return text
	case 1:
		return text + " " + out[0]
	}
	return text + " (" + strings.Join(out, ", ") + ")"
}

func (w typeNamer) structure(t *types.Struct) string {
	if t.NumFields() == 0 {
		return "struct {}"
	}
	var fields []string
	for i := range t.NumFields() {
		f := t.Field(i)
		text := w.name(f.Type())
		if !f.Embedded() {
			text = f.Name() + " " + text
		}
		if tag := t.Tag(i); tag != "" {
			text += " " + strconv.Quote(tag)
		}
		fields = append(fields, text)
	}
	return "struct { " + strings.Join(fields, "; ") + " }"
}

func (w typeNamer) interfaceName(t *types.Interface) string {
	if t.NumMethods() == 0 {
		return "interface {}"
	}
	var methods []string
	for m := range t.Methods() {
		methods = append(methods, m.Name()+w.signature(m.Signature()))
	}
	return "interface { " + strings.Join(methods, "; ") + " }"
}
