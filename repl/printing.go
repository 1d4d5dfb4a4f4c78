package repl

import (
	"fmt"
	"go/types"
	"io"
	"reflect"
	"sort"
	"strings"

	"dpolab/repl/frontend"
)

// Format prints what is in the box as package fmt prints the compiled type:
// under the type's names, and by its methods Error and String wherever in a
// value fmt would call them.
func (b box) Format(f fmt.State, verb rune) {
	p := printer{state: f, verb: verb, session: b.t.session}
	switch verb {
	case typeVerb:
		fmt.Fprintf(f, fmt.FormatString(f, 's'), b.t.Name)
		return
	case pointerVerb:
		fmt.Fprintf(f, fmt.FormatString(f, 'p'), b.v)
		return
	}
	p.value(b.t.Type, reflect.ValueOf(b.v), b.t, 0)
}

type printer struct {
	state   fmt.State
	verb    rune
	session *Session
	// quiet calls no methods, as fmt calls none of fields that are not exported.
	quiet bool
}

func (p printer) text(s string) { io.WriteString(p.state, s) }

func (p printer) null() { fmt.Fprintf(p.state, fmt.FormatString(p.state, 's'), "<nil>") }

// leaf prints a value that no type of the session is part of.
func (p printer) leaf(v any) { fmt.Fprintf(p.state, fmt.FormatString(p.state, p.verb), v) }

// basic prints a number, a string or a bool. Complaints about the verb name the
// value's own type.
func (p printer) basic(t types.Type, v reflect.Value) {
	x := basicValue(v)
	text := fmt.Sprintf(fmt.FormatString(p.state, p.verb), x)
	complaint := fmt.Sprintf("%%!%c(", p.verb)
	if rest, ok := strings.CutPrefix(text, complaint+reflect.TypeOf(x).String()+"="); ok {
		text = complaint + p.session.typeName(t) + "=" + rest
	}
	p.text(text)
}

// value prints v, whose type is t. info is set if v is all that a box holds.
func (p printer) value(t types.Type, v reflect.Value, info *typeInfo, depth int) {
	if !v.IsValid() {
		p.null()
		return
	}
	if !p.quiet && p.methods(t, v, info) {
		return
	}
	if p.state.Flag('#') && p.verb == 'v' {
		p.text(p.session.goSyntax(t, v))
		return
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		p.basic(t, v)
	case *types.Interface:
		p.interfaceValue(v, depth)
	case *types.Struct:
		p.structure(u, v, depth)
	case *types.Map:
		p.mapping(u, v, depth)
	case *types.Slice:
		p.list(u.Elem(), v, depth)
	case *types.Array:
		p.list(u.Elem(), v, depth)
	case *types.Pointer:
		if depth == 0 && !v.IsNil() {
			switch u.Elem().Underlying().(type) {
			case *types.Struct, *types.Map, *types.Slice, *types.Array:
				p.text("&")
				p.value(u.Elem(), v.Elem(), nil, depth+1)
				return
			}
		}
		p.leaf(v.UnsafePointer())
	default:
		p.leaf(v)
	}
}

func (p printer) interfaceValue(v reflect.Value, depth int) {
	if v.Kind() == reflect.Interface {
		if v.IsNil() {
			p.null()
			return
		}
		v = v.Elem()
	}
	if !v.CanInterface() {
		p.leaf(v)
		return
	}
	if b, ok := open(v.Interface()).(boxed); ok {
		p.value(b.unboxed().t.Type, reflect.ValueOf(b.unboxed().v), b.unboxed().t, depth)
		return
	}
	if p.quiet && v.Kind() != reflect.Pointer {
		p.leaf(withoutMethods(v))
		return
	}
	p.leaf(v.Interface())
}

// withoutMethods is a basic value without its type's name; others are as they
// are.
func withoutMethods(v reflect.Value) any {
	if x := basicValue(v); x != nil {
		return x
	}
	return v.Interface()
}

// methods prints by Error or String, if fmt would.
func (p printer) methods(t types.Type, v reflect.Value, info *typeInfo) bool {
	if types.IsInterface(t) {
		return false
	}
	if info == nil {
		if !isSessionType(t) {
			if v.CanInterface() && !mentionsSession(t) {
				switch v.Interface().(type) {
				case fmt.Formatter, error, fmt.Stringer:
					p.leaf(v.Interface())
					return true
				}
			}
			return false
		}
		if info = p.session.infoOf(t); info == nil {
			return false
		}
	}
	b := box{info, v.Interface()}
	if m := info.byName["Format"]; m != nil && m.Signature == frontendFormat {
		boundMethod(b, "Format").Call([]reflect.Value{reflect.ValueOf(&p.state).Elem(), reflect.ValueOf(p.verb)})
		return true
	}
	if p.state.Flag('#') && p.verb == 'v' {
		if info.has("GoString", " -> stringfalse") {
			p.text(b.call("GoString").(string))
			return true
		}
		return false
	}
	switch p.verb {
	case 'v', 's', 'x', 'X', 'q':
	default:
		return false
	}
	for _, name := range []string{"Error", "String"} {
		if !info.has(name, " -> stringfalse") {
			continue
		}
		if v.Kind() == reflect.Pointer && v.IsNil() {
			p.null()
			return true
		}
		fmt.Fprintf(p.state, fmt.FormatString(p.state, p.verb), b.call(name))
		return true
	}
	return false
}

const frontendFormat = "p_fmt.State, rune -> false"

func (p printer) structure(t *types.Struct, v reflect.Value, depth int) {
	p.text("{")
	for i := range t.NumFields() {
		if i > 0 {
			p.text(" ")
		}
		f := t.Field(i)
		if p.state.Flag('+') {
			p.text(f.Name() + ":")
		}
		if !f.Exported() { // fmt calls no methods of these
			q := p
			q.quiet = true
			q.value(f.Type(), v.Field(i), nil, depth+1)
			continue
		}
		p.value(f.Type(), v.Field(i), nil, depth+1)
	}
	p.text("}")
}

// basicValue is a value of a basic kind without its type's name and methods, nil
// if it is of another kind.
func basicValue(v reflect.Value) any {
	t := basicTypes[v.Kind()]
	if t == nil {
		return nil
	}
	out := reflect.New(t).Elem()
	switch v.Kind() {
	case reflect.Bool:
		out.SetBool(v.Bool())
	case reflect.String:
		out.SetString(v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		out.SetInt(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		out.SetUint(v.Uint())
	case reflect.Float32, reflect.Float64:
		out.SetFloat(v.Float())
	default:
		out.SetComplex(v.Complex())
	}
	return out.Interface()
}

var basicTypes = map[reflect.Kind]reflect.Type{}

func init() {
	for _, v := range []any{false, "", int(0), int8(0), int16(0), int32(0), int64(0), uint(0), uint8(0), uint16(0), uint32(0), uint64(0), uintptr(0),
		float32(0), float64(0), complex64(0), complex128(0)} {
		basicTypes[reflect.TypeOf(v).Kind()] = reflect.TypeOf(v)
	}
}

func (p printer) list(elem types.Type, v reflect.Value, depth int) {
	if b, ok := elem.Underlying().(*types.Basic); ok && b.Kind() == types.Byte && p.verb != 'v' && p.verb != 'd' && v.CanInterface() {
		p.leaf(v.Interface())
		return
	}
	p.elements(v, func(e reflect.Value) { p.value(elem, e, nil, depth+1) })
}

func (p printer) elements(v reflect.Value, print func(e reflect.Value)) {
	p.text("[")
	for i := range v.Len() {
		if i > 0 {
			p.text(" ")
		}
		print(v.Index(i))
	}
	p.text("]")
}

func (p printer) mapping(t *types.Map, v reflect.Value, depth int) {
	keys := v.MapKeys()
	sort.SliceStable(keys, func(i, j int) bool { return keyLess(keys[i], keys[j]) })
	p.text("map[")
	for i, k := range keys {
		if i > 0 {
			p.text(" ")
		}
		p.value(t.Key(), k, nil, depth+1)
		p.text(":")
		p.value(t.Elem(), v.MapIndex(k), nil, depth+1)
	}
	p.text("]")
}

// keyLess orders map keys as fmt does.
func keyLess(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Interface:
		x, y := a.Elem(), b.Elem()
		if !x.IsValid() || !y.IsValid() {
			return !x.IsValid() && y.IsValid()
		}
		x, y = reflect.ValueOf(raw(x.Interface())), reflect.ValueOf(raw(y.Interface()))
		if x.Kind() != y.Kind() {
			return x.Kind() < y.Kind()
		}
		return keyLess(x, y)
	case reflect.Struct:
		for i := range a.NumField() {
			if keyLess(a.Field(i), b.Field(i)) {
				return true
			}
			if keyLess(b.Field(i), a.Field(i)) {
				return false
			}
		}
		return false
	case reflect.Array:
		for i := range a.Len() {
			if keyLess(a.Index(i), b.Index(i)) {
				return true
			}
			if keyLess(b.Index(i), a.Index(i)) {
				return false
			}
		}
		return false
	case reflect.Bool:
		return !a.Bool() && b.Bool()
	}
	return less(a, b)
}

// infoOf finds what is known of a type by its name. The types of different
// cells are different to the checker; the newest of the name is meant.
func (s *Session) infoOf(t types.Type) *typeInfo {
	name := s.typeName(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typesByName[name]
}

// typeName is a type as %T prints it.
func (s *Session) typeName(t types.Type) string {
	s.mu.Lock()
	titles := s.titles
	s.mu.Unlock()
	return frontend.TypeName(t, titles)
}

// mentionsSession tells types with a type of the session in them.
func mentionsSession(t types.Type) bool {
	return strings.Contains(types.TypeString(t, func(p *types.Package) string { return p.Path() }), "main.")
}

// goSyntax is what %#v prints.
func (s *Session) goSyntax(t types.Type, v reflect.Value) string {
	name := s.typeName(t)
	switch u := t.Underlying().(type) {
	case *types.Struct:
		var parts []string
		for i := range u.NumFields() {
			parts = append(parts, u.Field(i).Name()+":"+s.goSyntaxPart(u.Field(i).Type(), v.Field(i)))
		}
		return name + "{" + strings.Join(parts, ", ") + "}"
	case *types.Slice, *types.Array:
		elem := u.(interface{ Elem() types.Type }).Elem()
		if v.Kind() == reflect.Slice && v.IsNil() {
			return name + "(nil)"
		}
		var parts []string
		for i := range v.Len() {
			parts = append(parts, s.goSyntaxPart(elem, v.Index(i)))
		}
		return name + "{" + strings.Join(parts, ", ") + "}"
	case *types.Map:
		if v.IsNil() {
			return name + "(nil)"
		}
		keys := v.MapKeys()
		sort.SliceStable(keys, func(i, j int) bool { return keyLess(keys[i], keys[j]) })
		var parts []string
		for _, k := range keys {
			parts = append(parts, s.goSyntaxPart(u.Key(), k)+":"+s.goSyntaxPart(u.Elem(), v.MapIndex(k)))
		}
		return name + "{" + strings.Join(parts, ", ") + "}"
	case *types.Pointer:
		if v.IsNil() {
			return "(" + name + ")(nil)"
		}
		if _, ok := u.Elem().Underlying().(*types.Struct); ok {
			return "&" + s.goSyntax(u.Elem(), v.Elem())
		}
		return fmt.Sprintf("(%s)(%#x)", name, v.Pointer())
	case *types.Signature, *types.Chan:
		if v.IsNil() {
			return "(" + name + ")(nil)"
		}
		return fmt.Sprintf("(%s)(%#x)", name, v.Pointer())
	case *types.Interface:
		return s.goSyntaxPart(t, v)
	}
	if x := basicValue(v); x != nil {
		return fmt.Sprintf("%#v", x)
	}
	return fmt.Sprintf("%#v", v)
}

// goSyntaxPart is goSyntax inside of another value, where methods GoString
// count and pointers are numbers.
func (s *Session) goSyntaxPart(t types.Type, v reflect.Value) string {
	if types.IsInterface(t) {
		if v.Kind() == reflect.Interface && v.IsNil() {
			return s.typeName(t) + "(nil)"
		}
		if !v.CanInterface() {
			return fmt.Sprintf("%#v", v)
		}
		b, ok := open(v.Interface()).(boxed)
		if !ok {
			return fmt.Sprintf("%#v", v.Interface())
		}
		t, v = b.unboxed().t.Type, reflect.ValueOf(b.unboxed().v)
	}
	if isSessionType(t) {
		if info := s.infoOf(t); info != nil && info.has("GoString", " -> stringfalse") {
			return box{info, v.Interface()}.call("GoString").(string)
		}
	}
	if p, ok := t.Underlying().(*types.Pointer); ok && !v.IsNil() {
		if _, ok := p.Elem().Underlying().(*types.Struct); ok {
			return fmt.Sprintf("(%s)(%#x)", s.typeName(t), v.Pointer())
		}
	}
	return s.goSyntax(t, v)
}
