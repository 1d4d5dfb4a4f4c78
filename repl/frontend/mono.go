package frontend

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"

	"golang.org/x/tools/go/ast/astutil"
)

// An instance is a generic function or type with its type arguments filled in.
type instance struct {
	name string
	// uses are the session's names that it depends on; when one of them
	// changes, the next use makes a new instance.
	uses map[string]bool
	// title is the name as users would write it.
	title string
	// ready is set once the interpreter has it.
	ready bool
}

// maxRounds bounds the nesting of generic calls within generic functions.
const maxRounds = 40

// monomorphise replaces every use of a generic function or type in what will
// run by an instance, until none is left. The checker's own findings say which
// type arguments are meant.
func (u *unit) monomorphise() (made map[string]*instance, err error) {
	made = map[string]*instance{}
	placed := map[string]bool{}
	for round := 0; ; round++ {
		if round == maxRounds {
			return nil, Errors{{Msg: fmt.Sprintf("generic code needs instances without end (%d rounds)", maxRounds)}}
		}
		r := &rewriter{unit: u, made: made, placed: placed}
		for _, d := range u.file.Decls {
			if !isGeneric(u, d) {
				r.rewrite(d)
			}
		}
		if r.err != nil {
			return nil, r.err
		}
		if !r.changed {
			if len(u.errs) > 0 {
				return nil, u.internal("instantiating generics")
			}
			return made, nil
		}
		decls := append(u.file.Decls, r.added...)
		u.layOut(withoutImports(decls))
		u.check() // types agree again once every mention of an instance is replaced
	}
}

func withoutImports(decls []ast.Decl) []ast.Decl {
	if len(decls) > 0 {
		if g, ok := decls[0].(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			return decls[1:]
		}
	}
	return decls
}

// internal reports that lowered code does not check, which is a fault here.
func (u *unit) internal(what string) error {
	e := u.errs[0]
	return Errors{{Pos: u.fset.Position(e.Pos), Msg: fmt.Sprintf("%s: %s (the cell is correct Go that cells cannot run yet)", what, e.Msg)}}
}

// isGeneric tells declarations that exist for instantiation only.
func isGeneric(u *unit, d ast.Decl) bool {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Type.TypeParams != nil {
			return true
		}
		if d.Recv != nil {
			t := d.Recv.List[0].Type
			if s, ok := t.(*ast.StarExpr); ok {
				t = s.X
			}
			switch t := t.(type) {
			case *ast.IndexExpr, *ast.IndexListExpr:
				return true
			case *ast.Ident:
				if named, ok := u.info.Uses[t]; ok {
					if n, ok := named.Type().(*types.Named); ok {
						return n.TypeParams().Len() > 0
					}
				}
			}
		}
	case *ast.GenDecl:
		if d.Tok == token.TYPE {
			return d.Specs[0].(*ast.TypeSpec).TypeParams != nil
		}
	}
	return false
}

type rewriter struct {
	unit    *unit
	made    map[string]*instance
	placed  map[string]bool
	added   []ast.Decl
	changed bool
	err     error
}

func (r *rewriter) rewrite(d ast.Decl) {
	astutil.Apply(d, func(c *astutil.Cursor) bool {
		switch n := c.Node().(type) {
		case *ast.CallExpr:
			r.builtin(c, n)
		case *ast.IndexExpr:
			return r.use(c, n.X, []ast.Expr{n.Index})
		case *ast.IndexListExpr:
			return r.use(c, n.X, n.Indices)
		case *ast.SelectorExpr:
			return r.use(c, n, nil)
		case *ast.Ident:
			return r.use(c, n, nil)
		}
		return r.err == nil
	}, nil)
}

// builtin turns the built-in functions that the interpreter lacks into calls of
// generic ones.
func (r *rewriter) builtin(c *astutil.Cursor, call *ast.CallExpr) {
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if !ok {
		return
	}
	b, ok := r.unit.info.Uses[id].(*types.Builtin)
	if !ok || r.unit.info.Types[call].Value != nil {
		return
	}
	name := ""
	switch b.Name() {
	case "min", "max":
		name = b.Name()
	case "clear":
		name = "clearSlice"
		if _, ok := r.unit.info.TypeOf(call.Args[0]).Underlying().(*types.Map); ok {
			name = "clearMap"
		}
	case "new":
		if !r.unit.info.Types[call.Args[0]].IsType() {
			name = "allocate"
		}
	}
	if name == "" {
		return
	}
	call.Fun = r.generic(id.Pos(), "builtin", name)
}

// generic is the name of a generic declaration of a library package, which it
// places in the file with all that it needs.
func (r *rewriter) generic(pos token.Pos, path, name string) ast.Expr {
	r.changed = true
	src, err := r.unit.scope.source(path)
	full := sourceName(path, name)
	if err != nil || src.decls[full] == nil {
		r.err = Errors{*r.unit.errorAt(pos, fmt.Sprintf("%s.%s is generic and not available in cells", path, name))}
		return ast.NewIdent(full)
	}
	r.place(src, full)
	return &ast.Ident{NamePos: pos, Name: full}
}

func (r *rewriter) place(src *source, name string) {
	if r.placed[name] {
		return
	}
	r.placed[name] = true
	r.added = append(r.added, clone(src.decls[name]))
	for _, n := range src.needs[name] {
		if i := strings.Index(n, ":"); i >= 0 { // another package's
			if other, err := r.unit.scope.source(n[:i]); err == nil && other.decls[n[i+1:]] != nil {
				r.place(other, n[i+1:])
			}
		} else {
			r.place(src, n)
		}
	}
	for path := range src.imports {
		r.unit.hidden[path] = true
	}
}

// use replaces an identifier or pkg.Name that stands for something generic.
// With indices it stands for the whole index expression.
func (r *rewriter) use(c *astutil.Cursor, x ast.Expr, indices []ast.Expr) bool {
	var id *ast.Ident
	switch x := ast.Unparen(x).(type) {
	case *ast.Ident:
		id = x
	case *ast.SelectorExpr:
		id = x.Sel
	default:
		return true
	}
	inst, ok := r.unit.info.Instances[id]
	if !ok {
		return true
	}
	obj := r.unit.info.Uses[id]
	if obj.Pkg() == nil {
		return true
	}
	if path := obj.Pkg().Path(); path == "iter" && (id.Name == "Seq" || id.Name == "Seq2") {
		r.changed = true
		c.Replace(sequence(indices))
		return false
	} else if path != "main" {
		if _, isFunc := obj.(*types.Func); isFunc && obj.(*types.Func).Signature().Recv() != nil {
			return true
		}
		g := r.generic(id.Pos(), path, id.Name)
		switch len(indices) {
		case 0:
			c.Replace(g)
		default:
			c.Replace(&ast.IndexListExpr{X: g, Lbrack: id.Pos(), Indices: indices, Rbrack: id.Pos()})
		}
		return false
	}
	name := r.instance(id, obj, inst.TypeArgs)
	r.changed = true
	c.Replace(&ast.Ident{NamePos: id.Pos(), Name: name})
	return false
}

// sequence spells iter.Seq and iter.Seq2 as the function types they are.
func sequence(elems []ast.Expr) ast.Expr {
	var params []*ast.Field
	for _, e := range elems {
		params = append(params, &ast.Field{Type: e})
	}
	yield := &ast.FuncType{Params: &ast.FieldList{List: params}, Results: &ast.FieldList{List: []*ast.Field{{Type: ast.NewIdent("bool")}}}}
	return &ast.ParenExpr{X: &ast.FuncType{Params: &ast.FieldList{List: []*ast.Field{{Type: yield}}}}}
}

// instance names the instance of a generic declaration and places it.
func (r *rewriter) instance(id *ast.Ident, obj types.Object, args *types.TypeList) string {
	u := r.unit
	uses := map[string]bool{obj.Name(): true}
	key := obj.Name()
	if d := u.defs[obj.Name()]; d != nil {
		key += "@" + strconv.Itoa(d.version)
	}
	if u.changes(obj.Name()) {
		key += "!" // a generic declaration of this very cell
	}
	var spelled []ast.Expr
	for i := range args.Len() {
		t := args.At(i)
		if local := localType(t); local != "" {
			r.err = Errors{*u.errorAt(id.Pos(), fmt.Sprintf("type argument %s is declared inside a function: declare it at the top level of a cell", local))}
			return id.Name
		}
		e, text, err := u.spell(t)
		if err != nil {
			r.err = Errors{*u.errorAt(id.Pos(), fmt.Sprintf("type argument %s cannot be written in Go", text))}
			return id.Name
		}
		spelled = append(spelled, e)
		key += ";" + text
		for _, n := range identifiers(e) {
			uses[n] = true
		}
	}
	in := r.made[key]
	if in == nil {
		in = u.scope.instances[key]
		if in != nil && meets(in.uses, u.changed) {
			in = nil
		}
	}
	if in == nil {
		in = &instance{name: u.scope.fresh(obj.Name()), uses: uses, title: title(obj, args, u.scope.instanceTitles(r.made))}
	}
	r.made[key] = in
	if r.placed[in.name] {
		return in.name
	}
	r.placed[in.name] = true
	fill := func(id *ast.Ident) ast.Expr {
		if tn, ok := u.info.Uses[id].(*types.TypeName); ok {
			if p, ok := tn.Type().(*types.TypeParam); ok {
				return spelled[p.Index()]
			}
		}
		return nil
	}
	for _, d := range u.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			switch {
			case d.Recv == nil && d.Name.Name == obj.Name():
				f := substituted(d, fill)
				f.Name.Name, f.Type.TypeParams, f.Doc = in.name, nil, nil
				r.added = append(r.added, f)
			case d.Recv != nil && receiverBase(d) == obj.Name():
				f := substituted(d, fill)
				var t ast.Expr = ast.NewIdent(in.name)
				if _, ok := ast.Unparen(d.Recv.List[0].Type).(*ast.StarExpr); ok {
					t = &ast.StarExpr{X: t}
				}
				f.Recv.List[0].Type = t
				r.added = append(r.added, f)
			}
		case *ast.GenDecl:
			if d.Tok == token.TYPE {
				if ts := d.Specs[0].(*ast.TypeSpec); ts.Name.Name == obj.Name() {
					g := substituted(d, fill)
					spec := g.Specs[0].(*ast.TypeSpec)
					spec.Name.Name, spec.TypeParams = in.name, nil
					r.added = append(r.added, g)
				}
			}
		}
	}
	return in.name
}

// instanceTitles are the titles of the scope's instances and of those a cell
// has made.
func (s *Scope) instanceTitles(made map[string]*instance) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]*instance{s.instances, made} {
		for _, in := range m {
			out[in.name] = in.title
		}
	}
	return out
}

// localType finds a type in t that is declared inside a function.
func localType(t types.Type) string {
	found := ""
	var walk func(t types.Type, depth int)
	walk = func(t types.Type, depth int) {
		if depth > 8 || found != "" {
			return
		}
		switch t := t.(type) {
		case *types.Named:
			if o := t.Obj(); o.Pkg() != nil && o.Pkg().Path() == "main" && o.Parent() != o.Pkg().Scope() {
				found = o.Name()
			}
			for i := range t.TypeArgs().Len() {
				walk(t.TypeArgs().At(i), depth+1)
			}
		case *types.Pointer:
			walk(t.Elem(), depth+1)
		case *types.Slice:
			walk(t.Elem(), depth+1)
		case *types.Array:
			walk(t.Elem(), depth+1)
		case *types.Chan:
			walk(t.Elem(), depth+1)
		case *types.Map:
			walk(t.Key(), depth+1)
			walk(t.Elem(), depth+1)
		}
	}
	walk(t, 0)
	return found
}

// identifiers are all names in a tree.
func identifiers(n ast.Node) []string {
	var out []string
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			out = append(out, id.Name)
		}
		return true
	})
	return out
}
