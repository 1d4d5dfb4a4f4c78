package symbols

import (
	"go/constant"
	"go/token"
	"reflect"

	"dpolab/stdlib/symbols/internal/table"
)

// ExitCode is what interpreted code panics with where compiled code would end
// the process with this status.
type ExitCode = table.ExitCode

// Load returns the table of a package as yaegi's Use takes it, under the key
// [Key] of the package; nil for a package that cells cannot import. Names are
// those of the package; "_Name" is the wrapper of interface Name.
func Load(path string) map[string]reflect.Value {
	p := table.Lookup(path)
	if p == nil {
		return nil
	}
	m := make(map[string]reflect.Value, len(p.Values)+len(p.Vars)+len(p.Types)+len(p.Wrappers))
	for _, e := range p.Values {
		m[e.Name] = value(e.Value)
	}
	for _, e := range p.Vars {
		m[e.Name] = reflect.ValueOf(e.Value).Elem()
	}
	for _, e := range p.Types {
		m[e.Name] = reflect.ValueOf(e.Value)
	}
	wrappers(p, m)
	return m
}

// Key returns the key of a package in yaegi's Exports: its path and its name.
func Key(path string) string {
	name, ok := PackageName(path)
	if !ok {
		return ""
	}
	return path + "/" + name
}

// Base returns what the first call of an interpreter's Use must hold: the
// packages that yaegi binds to the streams of the interpreter when it meets
// fmt, and the wrappers of every package. A wrapper is needed where a value is
// passed, in a package that the cell need not have imported.
func Base() map[string]map[string]reflect.Value {
	base := map[string]map[string]reflect.Value{".": {"MapTypes": reflect.ValueOf(methodsOfAny())}}
	for _, p := range table.Packages {
		if len(p.Wrappers) > 0 {
			m := make(map[string]reflect.Value, len(p.Wrappers))
			wrappers(p, m)
			base[Key(p.Path)] = m
		}
	}
	for _, path := range []string{"flag", "fmt", "log", "math/bits", "os"} {
		base[Key(path)] = Load(path)
	}
	return base
}

// All returns everything that Base and Load can give.
func All() map[string]map[string]reflect.Value {
	all := Base()
	for _, p := range table.Packages {
		all[Key(p.Path)] = Load(p.Path)
	}
	return all
}

func wrappers(p *table.Package, m map[string]reflect.Value) {
	for _, e := range p.Wrappers {
		m[e.Name] = reflect.ValueOf(e.Value)
	}
}

// value returns a function or constant as yaegi expects it: an untyped
// constant as a constant.Value, other than a bool.
func value(v any) reflect.Value {
	l, ok := v.(table.Literal)
	if !ok {
		return reflect.ValueOf(v)
	}
	switch l.Kind {
	case table.Int:
		return reflect.ValueOf(constant.MakeFromLiteral(l.Text, token.INT, 0))
	case table.Float:
		return reflect.ValueOf(constant.MakeFromLiteral(l.Text, token.FLOAT, 0))
	case table.Bool:
		return reflect.ValueOf(l.Text == "true")
	}
	return reflect.ValueOf(constant.MakeFromLiteral(l.Text, token.STRING, 0))
}
