package frontend

import (
	"go/ast"
	"reflect"
)

// clone copies a syntax tree with its positions, so that one copy can be
// checked and rewritten while the user's own stays as typed.
func clone[N ast.Node](n N) N {
	return copier{}.copy(reflect.ValueOf(n)).Interface().(N)
}

// substituted copies a tree; where replace returns an expression for an
// identifier, a copy of that stands in its place.
func substituted[N ast.Node](n N, replace func(*ast.Ident) ast.Expr) N {
	return copier{replace}.copy(reflect.ValueOf(n)).Interface().(N)
}

type copier struct{ replace func(*ast.Ident) ast.Expr }

func (c copier) copy(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		switch v.Interface().(type) {
		case *ast.Object, *ast.Scope:
			return reflect.Zero(v.Type())
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(c.copy(v.Elem()))
		return out
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		if id, ok := v.Interface().(*ast.Ident); ok && c.replace != nil {
			if e := c.replace(id); e != nil {
				return reflect.ValueOf(clone(e))
			}
		}
		return c.copy(v.Elem())
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			out.Field(i).Set(c.copy(v.Field(i)))
		}
		return out
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(c.copy(v.Index(i)))
		}
		return out
	}
	return v
}
