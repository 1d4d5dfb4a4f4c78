package symbols

import (
	"encoding"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log"
	"log/slog"
	"reflect"
)

// methodsOfAny names, for functions that take any and look for methods on it,
// the interfaces they look for. Reflection sees no methods on interpreted
// values, so yaegi wraps such an argument in the first interface it has.
func methodsOfAny() map[reflect.Value][]reflect.Type {
	var (
		formatter = reflect.TypeFor[fmt.Formatter]()
		failure   = reflect.TypeFor[error]()
		stringer  = reflect.TypeFor[fmt.Stringer]()
		text      = reflect.TypeFor[encoding.TextMarshaler]()
		fromText  = reflect.TypeFor[encoding.TextUnmarshaler]()
	)
	groups := []struct {
		wanted []reflect.Type
		funcs  []any
	}{
		{[]reflect.Type{formatter, failure, stringer}, []any{
			fmt.Append, fmt.Appendf, fmt.Appendln,
			fmt.Errorf,
			fmt.Fprint, fmt.Fprintf, fmt.Fprintln,
			fmt.Print, fmt.Printf, fmt.Println,
			fmt.Sprint, fmt.Sprintf, fmt.Sprintln,
			log.Panic, log.Panicf, log.Panicln,
			log.Print, log.Printf, log.Println,
		}},
		{[]reflect.Type{reflect.TypeFor[slog.LogValuer](), failure, stringer}, []any{
			slog.Debug, slog.Error, slog.Info, slog.Warn, slog.Any,
		}},
		{[]reflect.Type{reflect.TypeFor[fmt.Scanner]()}, []any{
			fmt.Fscan, fmt.Fscanf, fmt.Fscanln,
			fmt.Scan, fmt.Scanf, fmt.Scanln,
			fmt.Sscan, fmt.Sscanf, fmt.Sscanln,
		}},
		{[]reflect.Type{reflect.TypeFor[json.Marshaler](), text}, []any{json.Marshal, json.MarshalIndent}},
		{[]reflect.Type{reflect.TypeFor[json.Unmarshaler](), fromText}, []any{json.Unmarshal}},
		{[]reflect.Type{reflect.TypeFor[xml.Marshaler](), text}, []any{xml.Marshal, xml.MarshalIndent}},
		{[]reflect.Type{reflect.TypeFor[xml.Unmarshaler](), fromText}, []any{xml.Unmarshal}},
	}
	m := map[reflect.Value][]reflect.Type{}
	for _, g := range groups {
		for _, f := range g.funcs {
			m[reflect.ValueOf(f)] = g.wanted
		}
	}
	return m
}
