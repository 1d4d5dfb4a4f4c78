package symbols_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"strings"
	"testing"

	"golang.org/x/tools/go/ast/astutil"

	"dpolab/stdlib/symbols"
)

// lower writes the source of a package for one choice of type arguments, in
// the way of the front end but with one instance of each function: functions
// and types are renamed pkg_Name, imports of other packages with a source
// become such names too.
func lower(t *testing.T, path string, args map[string]string) string {
	t.Helper()
	text, _ := symbols.Source(path)
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "source.go", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	cfg := types.Config{Importer: symbols.Importer(fset)}
	pkg, err := cfg.Check(path, fset, []*ast.File{file}, &info)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && (g.Tok == token.IMPORT || isConstraint(g)) {
			continue
		}
		scope := ""
		if f, ok := d.(*ast.FuncDecl); ok {
			scope = f.Name.Name + "."
			f.Type.TypeParams = nil
			f.Doc = nil
		}
		lowered := astutil.Apply(d, nil, func(c *astutil.Cursor) bool {
			switch n := c.Node().(type) {
			case *ast.TypeSpec:
				n.TypeParams = nil
			case *ast.IndexExpr:
				if call, ok := n.X.(*ast.Ident); ok && strings.Contains(call.Name, "_") {
					c.Replace(instance(t, call.Name, n.Index))
				}
			case *ast.IndexListExpr:
				c.Replace(instance(t, n.X.(*ast.Ident).Name, n.Indices...))
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if !ok {
					break
				}
				if p, ok := info.Uses[x].(*types.PkgName); ok && p.Imported().Path() != path {
					if _, ours := symbols.Source(p.Imported().Path()); ours && isGeneric(info.Uses[n.Sel]) {
						c.Replace(ast.NewIdent(p.Imported().Name() + "_" + n.Sel.Name))
					}
				}
			case *ast.Ident:
				o := info.Uses[n]
				if o == nil {
					o = info.Defs[n]
				}
				if name, ok := o.(*types.TypeName); ok {
					if _, ok := name.Type().(*types.TypeParam); ok {
						arg, ok := args[scope+name.Name()]
						if !ok {
							arg = args[name.Name()]
						}
						c.Replace(ast.NewIdent(arg))
						break
					}
				}
				if o != nil && o.Pkg() == pkg && o.Parent() == pkg.Scope() {
					c.Replace(ast.NewIdent(pkg.Name() + "_" + n.Name))
				}
			}
			return true
		})
		if err := printer.Fprint(&out, fset, lowered); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n")
	}
	return out.String()
}

func isConstraint(g *ast.GenDecl) bool {
	s, ok := g.Specs[0].(*ast.TypeSpec)
	if !ok {
		return false
	}
	_, ok = s.Type.(*ast.InterfaceType)
	return ok
}

func isGeneric(o types.Object) bool {
	switch o := o.(type) {
	case *types.Func:
		return o.Signature().TypeParams().Len() > 0
	case *types.TypeName:
		n, ok := o.Type().(*types.Named)
		return ok && n.TypeParams().Len() > 0
	}
	return false
}

// instance returns the type that an instance stands for: iterators are
// functions, and of other types there is one instance.
func instance(t *testing.T, name string, args ...ast.Expr) ast.Expr {
	var params []*ast.Field
	for _, a := range args {
		params = append(params, &ast.Field{Type: a})
	}
	if name != "iter_Seq" && name != "iter_Seq2" {
		return ast.NewIdent(name)
	}
	yield := &ast.FuncType{
		Params:  &ast.FieldList{List: params},
		Results: &ast.FieldList{List: []*ast.Field{{Type: ast.NewIdent("bool")}}},
	}
	return &ast.FuncType{Params: &ast.FieldList{List: []*ast.Field{{Type: yield}}}}
}

// What the front end makes of the sources runs in the interpreter.
func TestLoweredSourcesRun(t *testing.T) {
	slices := map[string]string{
		"S": "[]int", "S1": "[]int", "S2": "[]int", "Slice": "[]int",
		"E": "int", "E1": "int", "E2": "int", "T": "int",
	}
	maps := map[string]string{
		"M": "map[string]int", "M1": "map[string]int", "M2": "map[string]int", "Map": "map[string]int",
		"K": "string", "V": "int", "V1": "int", "V2": "int",
	}
	ints := map[string]string{"T": "int", "T1": "int", "T2": "string"}
	for _, c := range []struct {
		name    string
		imports string
		sources []string
		args    []map[string]string
		body    string
		want    string
	}{
		{"slices", "fmt sort", []string{"slices", "cmp"}, []map[string]string{slices, ints}, `
			s := []int{3, 1, 2, 3}
			slices_Sort(s)
			fmt.Println(s, slices_Max(s), slices_Min(s), slices_Index(s, 3), slices_Contains(s, 9), slices_IsSorted(s))
			i, ok := slices_BinarySearch(s, 2)
			fmt.Println(i, ok, slices_Compact(slices_Clone(s)), slices_Equal(s, s), slices_Compare(s, []int{1, 3}))
			slices_SortFunc(s, func(a, b int) int { return b - a })
			fmt.Println(s, slices_Insert(s, 1, 7, 8), slices_Delete(slices_Clone(s), 0, 2), slices_Replace(slices_Clone(s), 0, 3, 5))
			slices_Reverse(s)
			fmt.Println(s, slices_Concat(s, s), slices_Repeat([]int{1}, 3), len(slices_Grow(s, 9)), slices_Clip(s))
			slices_SortStableFunc(s, func(a, b int) int { return a/3 - b/3 })
			fmt.Println(s, slices_DeleteFunc(s, func(v int) bool { return v < 3 }), slices_MinFunc(s, cmp_Compare))
			fmt.Println(slices_Sorted(slices_Values([]int{2, 1})), slices_AppendSeq(nil, slices_Values(s)))
			slices_Backward([]int{5, 6})(func(i, v int) bool { fmt.Print(i, v, ";"); return true })
			slices_Chunk([]int{1, 2, 3}, 2)(func(c []int) bool { fmt.Print(c); return true })
			slices_All([]int{5, 6})(func(i, v int) bool { fmt.Println(i, v); return false })`,
			"[1 2 3 3] 3 1 2 false true\n1 true [1 2 3] true -1\n[3 3 2 1] [3 7 8 3 2 1] [2 1] [5 1]\n" +
				"[1 2 3 3] [1 2 3 3 1 2 3 3] [1 1 1] 4 [1 2 3 3]\n[3 3 0 0] [3 3] 0\n[1 2] [3 3 0 0]\n" +
				"1 6;0 5;[1 2][3]0 5\n"},
		{"maps", "fmt sort", []string{"maps", "slices", "cmp"}, []map[string]string{maps, {
			"S": "[]string", "S1": "[]string", "S2": "[]string", "Slice": "[]string",
			"E": "string", "E1": "string", "E2": "string", "T": "string",
		}, {"T": "string"}}, `
			m := map[string]int{"b": 2, "a": 1}
			fmt.Println(slices_Sorted(maps_Keys(m)), maps_Equal(m, maps_Clone(m)), maps_Equal(m, map[string]int{}))
			c := maps_Collect(maps_All(m))
			maps_DeleteFunc(c, func(k string, v int) bool { return v == 1 })
			maps_Copy(c, map[string]int{"z": 9})
			maps_Insert(c, maps_All(map[string]int{"y": 8}))
			sum := 0
			maps_Values(c)(func(v int) bool { sum += v; return true })
			fmt.Println(c, sum)`, "[a b] true false\nmap[b:2 y:8 z:9] 19\n"},
		{"a named slice", "fmt sort", []string{"slices", "cmp"}, []map[string]string{{
			"S": "named", "S1": "named", "S2": "named", "Slice": "named",
			"E": "byteSize", "E1": "byteSize", "E2": "byteSize", "T": "byteSize",
		}, {"T": "byteSize"}}, `
			s := named{3, 1, 2}
			slices_Sort(s)
			fmt.Println(s, slices_Sorted(slices_Values(s)), slices_Insert(s, 0, 9)[0] == 9)
		}
		type byteSize uint8
		type named []byteSize
		func init() {`, "[1 2 3] [1 2 3] true\n"},
		{"iter", "fmt", []string{"iter"}, []map[string]string{{"K": "int", "V": "int", "Pull2.V": "struct{}"}}, `
			next, stop := iter_Pull(func(yield func(int) bool) {
				for i := 0; i < 5; i++ {
					if !yield(i * i) { fmt.Println("stopped"); return }
				}
			})
			a, ok := next(); fmt.Println(a, ok)
			a, ok = next(); fmt.Println(a, ok)
			stop()
			a, ok = next(); fmt.Println(a, ok)`, "0 true\n1 true\nstopped\n0 false\n"},
		{"cmp", "fmt", []string{"cmp"}, []map[string]string{ints}, `
			fmt.Println(cmp_Compare(1, 2), cmp_Compare(2, 1), cmp_Compare(1, 1), cmp_Less(1, 2), cmp_Or(0, 3, 4), cmp_Or())`,
			"-1 1 0 true 3 0\n"},
		{"sync", "fmt sync", []string{"sync"}, []map[string]string{ints}, `
			n := 0
			once := sync_OnceValue(func() int { n++; return n })
			pair := sync_OnceValues(func() (int, string) { n++; return n, "x" })
			fmt.Println(once(), once())
			fmt.Println(pair())
			fmt.Println(pair())`, "1 1\n2 x\n2 x\n"},
		{"sync/atomic", "fmt sync", []string{"sync/atomic"}, []map[string]string{ints}, `
			var p atomic_Pointer
			v := 5
			fmt.Println(p.Load() == nil, p.CompareAndSwap(nil, &v), *p.Load(), p.Swap(nil) == &v)`, "true true 5 true\n"},
		{"math/rand/v2", "fmt math/rand/v2", []string{"math/rand/v2"}, []map[string]string{{"Int": "int"}}, `
			fmt.Println(rand_N(1), rand_N(10) < 10)`, "0 true\n"},
		{"errors", "fmt errors reflect os io/fs", []string{"errors"}, []map[string]string{{"E": "*fs.PathError"}}, `
			_, err := os.Open("no/such")
			e, ok := errors_AsType(fmt.Errorf("wrapped: %w", err)); fmt.Println(e.Op, ok)
			e, ok = errors_AsType(errors.Join(errors.New("x"), err)); fmt.Println(e.Op, ok)
			e, ok = errors_AsType(errors.New("other")); fmt.Println(e, ok)`, "open true\nopen true\n<nil> false\n"},
		{"reflect", "fmt reflect", []string{"reflect"}, []map[string]string{{"T": "string"}}, `
			fmt.Println(reflect_TypeFor())
			s, ok := reflect_TypeAssert(reflect.ValueOf("x")); fmt.Println(s, ok)`, "string\nx true\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString("package main\n")
			for _, p := range strings.Fields(c.imports) {
				b.WriteString("import \"" + p + "\"\n")
			}
			for i, s := range c.sources {
				b.WriteString(lower(t, s, c.args[i]))
			}
			b.WriteString("func main() {" + c.body + "\n}\n")
			got, err := interpret(t, b.String(), strings.Fields(c.imports)...)
			if err != nil {
				t.Fatalf("%v in\n%s", err, b.String())
			}
			if got != c.want {
				t.Errorf("printed\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
