package frontend

import (
	"go/ast"
	"go/doc/comment"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// A Member is a name that can follow a dot, or stand alone.
type Member struct {
	Name string
	// Kind is "package", "func", "method", "type", "var", "field" or "const".
	Kind string
	// Type is its type as Go source.
	Type string
}

// Names lists what an identifier can mean at the top level of a cell.
func (s *Scope) Names() []Member {
	var out []Member
	for _, e := range s.Entries() {
		out = append(out, Member{e.Name, e.Kind, e.Type})
	}
	seen := map[string]bool{}
	for _, n := range slices.Sorted(maps.Keys(s.imports)) {
		seen[n] = true
		out = append(out, Member{n, "package", s.imports[n]})
	}
	for _, path := range s.lib.Packages() {
		if n, _ := s.lib.PackageName(path); !seen[n] && !strings.Contains(path, "internal") {
			seen[n] = true
			out = append(out, Member{n, "package", s.wellKnown(n)})
		}
	}
	return out
}

// Package returns the package that a bare name means, imported or well known.
func (s *Scope) Package(name string) *types.Package {
	path := s.imports[name]
	if path == "" && s.defs[name] == nil {
		path = s.wellKnown(name)
	}
	if path == "" {
		return nil
	}
	p, err := s.lib.Importer.Import(path)
	if err != nil {
		return nil
	}
	return p
}

// Members lists what can follow expr and a dot: the names of a package, the
// fields and methods of a value, the methods of a type. lines before it in the
// same cell give its variables their types, as far as they check.
func (s *Scope) Members(before, expr string) []Member {
	if p := s.Package(expr); p != nil {
		var out []Member
		for _, n := range p.Scope().Names() {
			if obj := p.Scope().Lookup(n); obj.Exported() {
				out = append(out, s.member(obj))
			}
		}
		return out
	}
	t := s.TypeOf(before, expr)
	if t == nil {
		return nil
	}
	var out []Member
	seen := map[string]bool{}
	var fields func(t types.Type, depth int)
	fields = func(t types.Type, depth int) {
		if p, ok := t.Underlying().(*types.Pointer); ok {
			t = p.Elem()
		}
		st, ok := t.Underlying().(*types.Struct)
		if !ok || depth > 4 {
			return
		}
		for i := range st.NumFields() {
			f := st.Field(i)
			if !seen[f.Name()] && (f.Exported() || f.Pkg().Path() == "main") {
				seen[f.Name()] = true
				out = append(out, Member{f.Name(), "field", types.TypeString(f.Type(), s.qualifier())})
			}
			if f.Embedded() {
				fields(f.Type(), depth+1)
			}
		}
	}
	fields(t, 0)
	m := t
	if _, pointer := t.(*types.Pointer); !pointer && !types.IsInterface(t) {
		m = types.NewPointer(t)
	}
	set := types.NewMethodSet(m)
	for i := range set.Len() {
		f := set.At(i).Obj()
		if f.Exported() || f.Pkg().Path() == "main" {
			out = append(out, Member{f.Name(), "method", strings.TrimPrefix(types.TypeString(f.Type(), s.qualifier()), "func")})
		}
	}
	return out
}

func (s *Scope) member(obj types.Object) Member {
	m := Member{Name: obj.Name(), Type: types.TypeString(obj.Type(), s.qualifier())}
	switch obj.(type) {
	case *types.Func:
		m.Kind, m.Type = "func", strings.TrimPrefix(m.Type, "func")
	case *types.TypeName:
		m.Kind = "type"
	case *types.Const:
		m.Kind = "const"
	default:
		m.Kind = "var"
	}
	return m
}

// TypeOf returns the type of an expression that follows the lines before it in
// a cell, or nil. Nothing is changed.
func (s *Scope) TypeOf(before, expr string) types.Type {
	for _, text := range []string{before + "\n" + expr, expr} {
		u := s.tentative(text)
		if u == nil || len(u.items) == 0 {
			continue
		}
		it := u.items[len(u.items)-1]
		if st, ok := it.placedStmt.(*ast.ExprStmt); ok {
			if tv, ok := u.info.Types[st.X]; ok && tv.Type != nil && tv.Type != types.Typ[types.Invalid] {
				return tv.Type
			}
		}
	}
	return nil
}

// tentative checks a cell without running it; its errors do not matter.
func (s *Scope) tentative(text string) *unit {
	cell, err := Parse(s.Fset, "query", text)
	if err != nil {
		return nil
	}
	u, err := s.newUnit(cell)
	if err != nil {
		return nil
	}
	u.plan()
	_ = u.settle()
	return u
}

// A Description is what is known of an expression.
type Description struct {
	// Signature is its declaration or type, Doc its documentation.
	Signature, Doc string
	// Package and Name are where documentation of a library's name is found;
	// Name is "Type.Method" for a method.
	Package, Name string
	// Cell is where a name of the session was defined.
	Cell string
	Type types.Type
}

// Describe tells what an expression is; before is the text of the cell above
// it.
func (s *Scope) Describe(before, expr string) (Description, bool) {
	if p := s.Package(expr); p != nil {
		return Description{Signature: "package " + p.Name() + " // import \"" + p.Path() + "\"", Package: p.Path()}, true
	}
	if d := s.defs[expr]; d != nil {
		out := Description{Signature: s.declared(d), Cell: d.cell}
		if obj := s.Object(expr); obj != nil {
			out.Type = obj.Type()
		}
		switch decl := d.decl.(type) {
		case *ast.FuncDecl:
			out.Doc = docText(decl.Doc)
		case *ast.GenDecl:
			out.Doc = docText(decl.Doc)
		}
		return out, true
	}
	if b := types.Universe.Lookup(expr); b != nil {
		return Description{Signature: types.ObjectString(b, s.qualifier()), Package: "builtin", Name: expr}, true
	}
	u := s.tentative(before + "\n" + expr)
	if u == nil || len(u.items) == 0 {
		u = s.tentative(expr)
	}
	if u == nil || len(u.items) == 0 {
		return Description{}, false
	}
	st, ok := u.items[len(u.items)-1].placedStmt.(*ast.ExprStmt)
	if !ok {
		return Description{}, false
	}
	var id *ast.Ident
	switch x := ast.Unparen(st.X).(type) {
	case *ast.Ident:
		id = x
	case *ast.SelectorExpr:
		id = x.Sel
	}
	if id != nil {
		if obj := u.info.Uses[id]; obj != nil && obj.Pkg() != nil {
			out := Description{Signature: types.ObjectString(obj, s.qualifier())}
			if obj.Pkg().Path() != "main" {
				out.Package, out.Name = obj.Pkg().Path(), obj.Name()
				if f, ok := obj.(*types.Func); ok && f.Signature().Recv() != nil {
					out.Name = receiverType(f.Signature().Recv().Type()) + "." + obj.Name()
				} else if sel := u.info.Selections[asSelector(st.X)]; sel != nil && sel.Kind() == types.FieldVal {
					out.Name = receiverType(sel.Recv()) + "." + obj.Name()
				}
			}
			return out, true
		}
	}
	if tv, ok := u.info.Types[st.X]; ok && tv.Type != nil && tv.Type != types.Typ[types.Invalid] {
		return Description{Signature: types.TypeString(tv.Type, s.qualifier())}, true
	}
	return Description{}, false
}

func asSelector(e ast.Expr) *ast.SelectorExpr {
	s, _ := ast.Unparen(e).(*ast.SelectorExpr)
	return s
}

func receiverType(t types.Type) string {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := t.(*types.Named); ok {
		return n.Obj().Name()
	}
	return ""
}

// declared prints a name's declaration without a function's body.
func (s *Scope) declared(d *def) string {
	switch decl := d.decl.(type) {
	case *ast.FuncDecl:
		return printed(&ast.FuncDecl{Recv: decl.Recv, Name: decl.Name, Type: decl.Type})
	case *ast.GenDecl:
		text := printed(decl)
		for _, m := range slices.Sorted(maps.Keys(d.methods)) {
			f := d.methods[m].decl.(*ast.FuncDecl)
			text += "\n" + printed(&ast.FuncDecl{Recv: f.Recv, Name: f.Name, Type: f.Type})
		}
		return text
	}
	return d.name
}

func docText(c *ast.CommentGroup) string {
	if c == nil {
		return ""
	}
	var p comment.Parser
	return strings.TrimSpace(string((&comment.Printer{}).Text(p.Parse(c.Text()))))
}

// Keywords are those of Go.
func Keywords() []string {
	var out []string
	for t := token.BREAK; t <= token.VAR; t++ {
		if t.IsKeyword() {
			out = append(out, t.String())
		}
	}
	return out
}
