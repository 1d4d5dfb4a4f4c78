package repl

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"dpolab/repl/frontend"
	"dpolab/stdlib/symbols"
)

// A box is an interface value that holds a type of the session: reflection
// knows such a type neither by name nor by methods. Boxes are comparable as the
// values in them are, and print as compiled Go prints those.
type box struct {
	t *typeInfo
	v any // the value under the interpreter's type
}

// errorBox is the box of a type with a method Error, so that compiled code sees
// an error; textBox is that of one with a method String, richBox of one with
// MIME() map[string]string, by which hosts show a value richly.
type (
	errorBox    struct{ box }
	errorsBox   struct{ box } // with Unwrap() []error
	textBox     struct{ box }
	richBox     struct{ box }
	richTextBox struct{ textBox }
)

// typeInfo is a type with the host's findings.
type typeInfo struct {
	frontend.TypeInfo
	session *Session
	byName  map[string]*frontend.Method
}

func (b box) unboxed() box { return b }

// boxed is any kind of box.
type boxed interface{ unboxed() box }

// learn takes what a cell's types are.
func (s *Session) learn(prog *frontend.Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.titles = prog.Titles
	for _, t := range prog.Types {
		info := s.types[t.ID]
		if info == nil {
			info = &typeInfo{session: s}
			s.types[t.ID] = info
		}
		info.TypeInfo = t
		info.byName = map[string]*frontend.Method{}
		for i := range t.Methods {
			info.byName[t.Methods[i].Name] = &t.Methods[i]
		}
		if old := s.typesByName[t.Name]; old == nil || old.ID <= t.ID {
			s.typesByName[t.Name] = info
		}
	}
}

func (s *Session) typeInfo(id int) *typeInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.types[id]
}

// box makes a box of the one element of a slice; the interpreter passes slices
// on as they are.
func (s *Session) box(id int, of any) any {
	v := reflect.ValueOf(of).Index(0)
	if v.Kind() == reflect.Interface {
		return open(v.Interface())
	}
	return newBox(s.typeInfo(id), v.Interface())
}

func newBox(t *typeInfo, v any) any {
	b := box{t, v}
	switch {
	case t.has("Error", " -> stringfalse"):
		if t.has("Unwrap", " -> []errorfalse") {
			return errorsBox{b}
		}
		return errorBox{b}
	case t.has("String", " -> stringfalse"):
		if t.has("MIME", " -> map[string]stringfalse") {
			return richTextBox{textBox{b}}
		}
		return textBox{b}
	case t.has("MIME", " -> map[string]stringfalse"):
		return richBox{b}
	}
	return b
}

func (t *typeInfo) has(method, signature string) bool {
	m := t.byName[method]
	return m != nil && m.Signature == signature
}

// open gives the box back that a compiled interface was made of.
func open(v any) any {
	if v == nil {
		return nil
	}
	if _, ok := v.(boxed); ok {
		return v
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Struct && r.NumField() > 0 && r.Type().Field(0).Name == "IValue" {
		if inner, ok := r.Field(0).Interface().(boxed); ok {
			return inner
		}
	}
	return v
}

// raw is the value in a box, for packages that read values by reflection.
func raw(v any) any {
	if b, ok := open(v).(boxed); ok {
		return b.unboxed().v
	}
	return v
}

// unbox stores what v holds in *to, if it is of the type.
func (s *Session) unbox(id int, v, to any) bool {
	b, ok := open(v).(boxed)
	if !ok || b.unboxed().t.ID != id {
		return false
	}
	place := reflect.ValueOf(to).Elem()
	place.Set(as(reflect.ValueOf(b.unboxed().v), place.Type()))
	return true
}

// as is v under another reflect type of the same layout: the interpreter may
// know a recursive type by more than one.
func as(v reflect.Value, t reflect.Type) reflect.Value {
	if !v.IsValid() {
		return reflect.Zero(t)
	}
	if v.Type() == t || v.Type().AssignableTo(t) {
		return v
	}
	out := reflect.New(t)
	reflect.NewAt(v.Type(), out.UnsafePointer()).Elem().Set(v)
	return out.Elem()
}

// assert is unbox that panics as Go's assertion does.
func (s *Session) assert(id int, v, to any) {
	if !s.unbox(id, v, to) {
		panic(conversionError("interface conversion: interface {} is " + nameOf(v) + ", not " + s.typeInfo(id).Name))
	}
}

// conversionError is a failed assertion.
type conversionError string

func (e conversionError) Error() string { return string(e) }
func (conversionError) RuntimeError()   {}

// nameOf is what %T prints of a value.
func nameOf(v any) string {
	if v == nil {
		return "nil"
	}
	if b, ok := open(v).(boxed); ok {
		return b.unboxed().t.Name
	}
	return reflect.TypeOf(v).String()
}

// implements reports whether what v holds has an interface's methods.
func (s *Session) implements(id int, v any) bool { return v != nil && s.missing(id, v) == "" }

// missing names a method that v lacks.
func (s *Session) missing(id int, v any) string {
	v = open(v)
	want := s.typeInfo(id)
	b, isBox := v.(boxed)
	for _, m := range want.Methods {
		if isBox {
			if have := b.unboxed().t.byName[m.Name]; have == nil || have.Signature != m.Signature {
				return m.Name
			}
			continue
		}
		have, ok := reflect.TypeOf(v).MethodByName(m.Name)
		if !ok || plainSignature(have.Type) != normal(m.Plain) {
			return m.Name
		}
	}
	return ""
}

// plainSignature words a compiled method's type, which begins with the
// receiver, as frontend.Method.Plain does.
func plainSignature(t reflect.Type) string {
	var in, out []string
	for i := 1; i < t.NumIn(); i++ {
		in = append(in, t.In(i).String())
	}
	for i := range t.NumOut() {
		out = append(out, t.Out(i).String())
	}
	return normal(strings.Join(in, ", ") + " -> " + strings.Join(out, ", ") + fmt.Sprint(t.IsVariadic()))
}

func normal(text string) string {
	return strings.NewReplacer("interface {}", "any", "uint8", "byte", "int32", "rune").Replace(text)
}

// require is implements that panics as Go's assertion does.
func (s *Session) require(id int, v any) any {
	t := s.typeInfo(id)
	if v == nil {
		panic(conversionError("interface conversion: interface is nil, not " + t.Name))
	}
	if m := s.missing(id, v); m != "" {
		panic(conversionError("interface conversion: " + nameOf(v) + " is not " + t.Name + ": missing method " + m))
	}
	return open(v)
}

// wrap gives what v holds the form in which compiled code takes it for the
// interface; nil if it lacks a method.
func (s *Session) wrap(id int, v any) any {
	v = open(v)
	b, ok := v.(boxed)
	if !ok {
		return v
	}
	t := s.typeInfo(id)
	if s.missing(id, v) != "" {
		return nil
	}
	switch {
	case t.Package == "" && t.Symbol == "error":
		return v
	case t.Package == "fmt" && t.Symbol == "Stringer":
		if _, ok := v.(fmt.Stringer); ok {
			return v
		}
	}
	wrapper, ok := symbols.Load(t.Package)["_"+t.Symbol]
	if !ok {
		panic(fmt.Errorf("%s cannot hold types of the session", t.Name))
	}
	out := reflect.New(wrapper.Type().Elem()).Elem()
	out.FieldByName("IValue").Set(reflect.ValueOf(b))
	for _, m := range t.Methods {
		if f := out.FieldByName("W" + m.Name); f.IsValid() {
			f.Set(as(boundMethod(b.unboxed(), m.Name), f.Type()))
		}
	}
	return out.Interface()
}

// method is a method of what an interface holds, as a function.
func (s *Session) method(v any, name string) any {
	v = open(v)
	if b, ok := v.(boxed); ok {
		return boundMethod(b.unboxed(), name).Interface()
	}
	if v == nil {
		panic(nilDereference)
	}
	return reflect.ValueOf(v).MethodByName(name).Interface()
}

var nilDereference = runtimeError("invalid memory address or nil pointer dereference")

// boundMethod is a method of a boxed value with its receiver.
func boundMethod(b box, name string) reflect.Value {
	m := b.t.byName[name]
	if m == nil {
		panic(fmt.Errorf("%s has no method %s", b.t.Name, name))
	}
	receiver := reflect.ValueOf(b.v)
	for _, i := range m.Path {
		if receiver.Kind() == reflect.Pointer {
			if receiver.IsNil() {
				panic(nilDereference)
			}
			receiver = receiver.Elem()
		}
		receiver = receiver.Field(i)
	}
	if receiver.Kind() == reflect.Interface {
		if receiver.IsNil() {
			panic(nilDereference)
		}
		return reflect.ValueOf(b.t.session.method(receiver.Interface(), name))
	}
	if m.Slot == "" {
		if f := receiver.MethodByName(name); f.IsValid() {
			return f
		}
		return receiver.Addr().MethodByName(name)
	}
	slot := b.t.session.global(m.Slot)
	switch {
	case m.Pointer && receiver.Kind() != reflect.Pointer:
		receiver = receiver.Addr()
	case !m.Pointer && receiver.Kind() == reflect.Pointer && slot.Type().In(0).Kind() != reflect.Pointer:
		if receiver.IsNil() {
			panic(nilDereference)
		}
		receiver = receiver.Elem()
	}
	receiver = as(receiver, slot.Type().In(0))
	t := slot.Type()
	var in, out []reflect.Type
	for i := 1; i < t.NumIn(); i++ {
		in = append(in, t.In(i))
	}
	for i := range t.NumOut() {
		out = append(out, t.Out(i))
	}
	return reflect.MakeFunc(reflect.FuncOf(in, out, t.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		args = append([]reflect.Value{receiver}, args...)
		if t.IsVariadic() {
			return slot.CallSlice(args)
		}
		return slot.Call(args)
	})
}

// global is a variable of the interpreter.
func (s *Session) global(name string) reflect.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.globals[name]
	if !ok {
		s.globals = s.interpreter.Globals()
		v = s.globals[name]
	}
	return v
}

// equal compares two interface values.
func equal(a, b any) bool { return open(a) == open(b) }

// errorAs is errors.As for targets of the session's types.
func (s *Session) errorAs(err error, id int, target any) bool {
	t := s.typeInfo(id)
	for err != nil {
		if t.Interface {
			if s.implements(id, err) {
				reflect.ValueOf(target).Elem().Set(reflect.ValueOf(open(err)))
				return true
			}
		} else if s.unbox(id, err, target) {
			return true
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				if s.errorAs(e, id, target) {
					return true
				}
			}
			return false
		}
		err = errors.Unwrap(err)
	}
	return false
}

// call calls a method without parameters that gives one result.
func (b box) call(name string) any { return boundMethod(b, name).Call(nil)[0].Interface() }

// resultOf calls a method if the type has it with that signature.
func (b box) resultOf(name, signature string, args ...reflect.Value) any {
	if !b.t.has(name, signature) {
		return nil
	}
	return boundMethod(b, name).Call(args)[0].Interface()
}

func (b errorBox) Error() string  { return b.call("Error").(string) }
func (b errorsBox) Error() string { return b.call("Error").(string) }
func (b textBox) String() string  { return b.call("String").(string) }

// MIME is the type's own.
func (b richBox) MIME() map[string]string     { return b.call("MIME").(map[string]string) }
func (b richTextBox) MIME() map[string]string { return b.call("MIME").(map[string]string) }

// Unwrap is the type's own, for errors.Is and errors.As.
func (b errorBox) Unwrap() error {
	err, _ := b.resultOf("Unwrap", " -> errorfalse").(error)
	return err
}

func (b errorsBox) Unwrap() []error { return b.call("Unwrap").([]error) }

// Is is the type's own.
func (b errorBox) Is(target error) bool {
	is, _ := b.resultOf("Is", "error -> boolfalse", reflect.ValueOf(&target).Elem()).(bool)
	return is
}

// MarshalJSON is the type's own, or writes its exported fields.
func (b box) MarshalJSON() ([]byte, error) {
	if b.t.has("MarshalJSON", " -> []byte, errorfalse") {
		out := boundMethod(b, "MarshalJSON").Call(nil)
		err, _ := out[1].Interface().(error)
		return out[0].Bytes(), err
	}
	return json.Marshal(b.v)
}
