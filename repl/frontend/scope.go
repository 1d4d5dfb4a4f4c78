package frontend

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Library is what cells can import.
type Library struct {
	Importer types.Importer
	// Packages lists the import paths.
	Packages func() []string
	// PackageName is the name a package gives itself.
	PackageName func(path string) (string, bool)
	// Source is Go text of a package's generic functions and types, which have
	// no compiled form that an interpreter could call.
	Source func(path string) (string, bool)
	// Missing lists a package's names that neither tables nor Source hold.
	Missing func(path string) []string
}

// kind says what a name stands for.
type kind int

const (
	isVar kind = iota
	isFunc
	isType
	isConst
)

// def is one live top-level name of the session.
type def struct {
	name string
	kind kind
	cell string // where it was defined
	// decl is the declaration as typed; of a variable it is `var x T`, of a
	// constant `const c T = literal`.
	decl ast.Decl
	// methods of a type, by name.
	methods map[string]*def
	// uses are the session's names that the declaration mentions, sigUses those
	// outside function bodies.
	uses, sigUses map[string]bool
	// running is the name of the variable, type or slot that the interpreter
	// knows; empty for constants and whatever is generic.
	running string
	// shape tells whether a redefinition changes what others see of it: the type
	// of a variable, the signature of a function, a type's underlying type, a
	// constant's value.
	shape string
	// generic declarations live in the front end only, instantiated on use.
	generic bool
	// version tells redefinitions of a generic declaration apart.
	version int
}

// A Scope is what the cells so far have declared. It is not safe for
// concurrent use.
type Scope struct {
	Fset    *token.FileSet
	lib     Library
	imports map[string]string // name -> path
	defs    map[string]*def
	// instances are the generic functions and types that the interpreter has,
	// by definition and type arguments.
	instances map[string]*instance
	// broken are functions that no longer compile, and why, by name or "T.M".
	broken  map[string]*def
	reasons map[string]string
	taken   map[string]bool // names the interpreter has
	hidden  map[string]bool // paths that only types of variables name
	loaded  map[string]bool // paths the interpreter has imported
	sources map[string]*source
	serial  int
	typeIDs map[string]int // of types in boxes
	last    *types.Package
	lines   []Line
}

// A Line is a place in a cell that running code reports by number.
type Line struct {
	Pos token.Position
	// Func is the function it lies in, empty for the cell's own statements.
	Func string
}

// NewScope returns an empty scope.
func NewScope(lib Library) *Scope {
	return &Scope{
		Fset: token.NewFileSet(), lib: lib,
		imports: map[string]string{}, defs: map[string]*def{}, instances: map[string]*instance{},
		broken: map[string]*def{}, reasons: map[string]string{}, taken: map[string]bool{"main": true, "init": true},
		hidden: map[string]bool{}, loaded: map[string]bool{}, sources: map[string]*source{}, lines: []Line{{}},
	}
}

// Line returns the place with a number, as running code stores it.
func (s *Scope) Line(n int) Line {
	if n <= 0 || n >= len(s.lines) {
		return Line{}
	}
	return s.lines[n]
}

// fresh returns a name that the interpreter has not seen.
func (s *Scope) fresh(base string) string {
	s.serial++
	return base + "__" + strconv.Itoa(s.serial)
}

// alias is the name under which every file imports a package besides the
// user's names for it.
func alias(path string) string {
	return "p_" + strings.NewReplacer("/", "_", ".", "_", "-", "_").Replace(path)
}

// claim returns base itself the first time, later a name derived from it.
func (s *Scope) claim(base string) string {
	if !s.taken[base] && types.Universe.Lookup(base) == nil && !token.IsKeyword(base) {
		s.taken[base] = true
		return base
	}
	return s.fresh(base)
}

// names of the session in a stable order.
func (s *Scope) names() []string { return slices.Sorted(maps.Keys(s.defs)) }

// An Entry describes one live name.
type Entry struct {
	Name, Kind, Type, Cell string
	// Running is the interpreter's variable, for variables.
	Running string
}

// Entries lists the session's names.
func (s *Scope) Entries() []Entry {
	var out []Entry
	for _, n := range s.names() {
		d := s.defs[n]
		e := Entry{Name: n, Kind: [...]string{"var", "func", "type", "const"}[d.kind], Cell: d.cell}
		if d.kind == isVar {
			e.Running = d.running
		}
		if obj := s.Object(n); obj != nil {
			e.Type = types.TypeString(obj.Type(), s.qualifier())
			if d.kind == isType {
				e.Type = types.TypeString(obj.Type().Underlying(), s.qualifier())
			}
		}
		out = append(out, e)
	}
	return out
}

// Object returns the checked object of a live name, or nil.
func (s *Scope) Object(name string) types.Object {
	if s.last == nil {
		return nil
	}
	return s.last.Scope().Lookup(name)
}

// Imports lists the import names in use and their paths.
func (s *Scope) Imports() map[string]string { return maps.Clone(s.imports) }

// qualifier prints types as users write them.
func (s *Scope) qualifier() types.Qualifier {
	return func(p *types.Package) string {
		if p.Path() == "main" {
			return ""
		}
		return p.Name()
	}
}
