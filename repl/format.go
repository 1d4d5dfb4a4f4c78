package repl

import (
	"fmt"
	"go/types"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// maxElements and maxDepth bound what Format writes of a large value.
const (
	maxElements = 24
	maxDepth    = 6
)

// Format writes a value as Go source would, with the names of its type: the
// interpreter's own types have none, so t says what they are.
func (s *Session) Format(t types.Type, v reflect.Value) string {
	var b strings.Builder
	s.mu.Lock()
	f := formatter{&b, s, s.titles}
	s.mu.Unlock()
	f.write(t, v, 0)
	return b.String()
}

type formatter struct {
	b       *strings.Builder
	session *Session
	titles  map[string]string
}

// typeString is a type as users write it.
func (f formatter) typeString(t types.Type) string {
	text := types.TypeString(t, func(p *types.Package) string {
		if p.Path() == "main" {
			return ""
		}
		return p.Name()
	})
	if !strings.Contains(text, "__") {
		return text
	}
	return instanceName.ReplaceAllStringFunc(text, func(name string) string {
		if title := f.titles[name]; title != "" {
			return strings.ReplaceAll(title, "main.", "")
		}
		return name
	})
}

var instanceName = regexp.MustCompile(`\w+__\d+`)

func (f formatter) write(t types.Type, v reflect.Value, depth int) {
	if !v.IsValid() {
		f.b.WriteString("nil")
		return
	}
	if v.CanInterface() {
		if b, ok := open(v.Interface()).(boxed); ok {
			f.write(b.unboxed().t.Type, reflect.ValueOf(b.unboxed().v), depth)
			return
		}
	}
	if isSessionType(t) && !types.IsInterface(t) && f.byMethod(t, v) {
		return
	}
	if v.CanInterface() && !isSessionType(t) {
		switch x := v.Interface().(type) {
		case error:
			if !isNil(v) {
				f.b.WriteString(x.Error())
				return
			}
		case fmt.Stringer:
			if !isNil(v) {
				f.b.WriteString(x.String())
				return
			}
		}
	}
	if v.Kind() == reflect.Interface {
		if v.IsNil() {
			f.b.WriteString("nil")
			return
		}
		f.write(nil, v.Elem(), depth)
		return
	}
	if types.IsInterface(orEmpty(t)) {
		t = nil
	}
	if depth > maxDepth {
		f.b.WriteString("…")
		return
	}
	switch v.Kind() {
	case reflect.String:
		f.b.WriteString(strconv.Quote(v.String()))
	case reflect.Slice, reflect.Array:
		f.list(t, v, depth)
	case reflect.Map:
		f.mapping(t, v, depth)
	case reflect.Struct:
		f.structure(t, v, depth)
	case reflect.Pointer:
		if v.IsNil() {
			f.b.WriteString("nil")
			return
		}
		var elem types.Type
		if p, ok := under(t).(*types.Pointer); ok {
			elem = p.Elem()
		}
		f.b.WriteString("&")
		f.write(elem, v.Elem(), depth+1)
	case reflect.Func, reflect.Chan:
		if v.IsNil() {
			f.b.WriteString("nil")
		} else {
			f.b.WriteString(f.typeName(t, v))
		}
	case reflect.Float32:
		f.b.WriteString(strconv.FormatFloat(v.Float(), 'g', -1, 32))
	default:
		f.b.WriteString(fmt.Sprintf("%v", v))
	}
}

// byMethod writes a value of the session's type by its Error or String.
func (f formatter) byMethod(t types.Type, v reflect.Value) bool {
	info := f.session.infoOf(t)
	if info == nil || isNil(v) || !v.CanInterface() {
		return false
	}
	for _, name := range []string{"Error", "String"} {
		if info.has(name, " -> stringfalse") {
			f.b.WriteString(box{info, v.Interface()}.call(name).(string))
			return true
		}
	}
	return false
}

func orEmpty(t types.Type) types.Type {
	if t == nil {
		return types.Typ[types.Invalid]
	}
	return t
}

func under(t types.Type) types.Type {
	if t == nil {
		return nil
	}
	return t.Underlying()
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Interface, reflect.Chan:
		return v.IsNil()
	}
	return false
}

// isSessionType tells types that cells declare: their reflect type has none of
// their methods, but may have those of an embedded one.
func isSessionType(t types.Type) bool {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	n, ok := t.(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == "main"
}

func (f formatter) typeName(t types.Type, v reflect.Value) string {
	if t != nil {
		return f.typeString(t)
	}
	return strings.ReplaceAll(v.Type().String(), "interface {}", "any")
}

func (f formatter) list(t types.Type, v reflect.Value, depth int) {
	var elem types.Type
	switch u := under(t).(type) {
	case *types.Slice:
		elem = u.Elem()
	case *types.Array:
		elem = u.Elem()
	}
	if v.Kind() == reflect.Slice && v.IsNil() {
		f.b.WriteString(f.typeName(t, v) + "(nil)")
		return
	}
	f.b.WriteString(f.typeName(t, v) + "{")
	for i := range v.Len() {
		if i > 0 {
			f.b.WriteString(", ")
		}
		if i == maxElements && v.Len() > maxElements+4 {
			fmt.Fprintf(f.b, "… %d more", v.Len()-i)
			break
		}
		f.write(elem, v.Index(i), depth+1)
	}
	f.b.WriteString("}")
}

func (f formatter) mapping(t types.Type, v reflect.Value, depth int) {
	if v.IsNil() {
		f.b.WriteString(f.typeName(t, v) + "(nil)")
		return
	}
	var key, elem types.Type
	if m, ok := under(t).(*types.Map); ok {
		key, elem = m.Key(), m.Elem()
	}
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return less(keys[i], keys[j]) })
	f.b.WriteString(f.typeName(t, v) + "{")
	for i, k := range keys {
		if i > 0 {
			f.b.WriteString(", ")
		}
		if i == maxElements {
			fmt.Fprintf(f.b, "… %d more", len(keys)-i)
			break
		}
		f.write(key, k, depth+1)
		f.b.WriteString(": ")
		f.write(elem, v.MapIndex(k), depth+1)
	}
	f.b.WriteString("}")
}

func less(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return a.Int() < b.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return a.Uint() < b.Uint()
	case reflect.Float32, reflect.Float64:
		return a.Float() < b.Float()
	case reflect.String:
		return a.String() < b.String()
	}
	return fmt.Sprint(a) < fmt.Sprint(b)
}

func (f formatter) structure(t types.Type, v reflect.Value, depth int) {
	s, _ := under(t).(*types.Struct)
	f.b.WriteString(f.typeName(t, v) + "{")
	for i := range v.NumField() {
		if i > 0 {
			f.b.WriteString(", ")
		}
		name := v.Type().Field(i).Name
		var ft types.Type
		if s != nil && i < s.NumFields() {
			name, ft = s.Field(i).Name(), s.Field(i).Type()
		}
		f.b.WriteString(name + ": ")
		f.write(ft, v.Field(i), depth+1)
	}
	f.b.WriteString("}")
}
