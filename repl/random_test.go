package repl

import (
	"flag"
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

var (
	randomSeed     = flag.Int64("random.seed", 1, "seed of the first random program")
	randomPrograms = flag.Int("random.programs", 24, "number of random programs")
)

// TestRandomPrograms runs programs that nobody wrote, interpreted and compiled.
// They are made of what the interpreter might get wrong without a word:
// arithmetic of every width, copies and aliases, closures, evaluation order.
func TestRandomPrograms(t *testing.T) {
	texts := map[string]string{}
	for i := range *randomPrograms {
		seed := *randomSeed + int64(i)
		texts[fmt.Sprintf("seed%d", seed)] = randomProgram(seed)
	}
	compareAll(t, texts)
}

// randomPrelude are the types and functions that random statements use.
const randomPrelude = `package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

type E struct {
	K uint8
	F float64
}

func (e E) Sum(i int) int   { return int(e.K) + i }
func (e *E) Bump(i int) int { e.K += uint8(i); return int(e.K) }

type S struct {
	A int
	B string
	C []int
	D [3]int
	P *S
	E
}

func (s S) Val(i int) int   { s.A += i; return s.A }
func (s *S) Set(i int) int  { s.A += i; s.D[1]++; return s.A }
func (s *S) M(i int) int    { return s.A*3 + i }
func (s S) String() string  { return "S(" + strconv.Itoa(s.A) + s.B + fmt.Sprint(s.C, s.D, s.K, s.F) + ")" }

type N int

func (n N) M(i int) int    { return int(n)*2 + i }
func (n N) String() string { return "N" + strconv.Itoa(int(n)) }

type I interface{ M(int) int }

type Bad struct{ Code int }

func (b *Bad) Error() string { return "bad " + strconv.Itoa(b.Code) }

type Stack[X any] struct{ items []X }

func (s *Stack[X]) Push(x X) *Stack[X] { s.items = append(s.items, x); return s }
func (s *Stack[X]) Len() int           { return len(s.items) }

func mapped[X, Y any](xs []X, f func(X) Y) []Y {
	var out []Y
	for _, x := range xs {
		out = append(out, f(x))
	}
	return out
}

func k[X any](x X) X { return x }

func at(xs []int, i int) int {
	if len(xs) == 0 {
		return i
	}
	return xs[((i%len(xs))+len(xs))%len(xs)]
}

func many(i int, rest ...int) (int, string) {
	for _, r := range rest {
		i += r
	}
	return i, "m" + strconv.Itoa(len(rest))
}

func fails(i int) error {
	if i%3 == 0 {
		return &Bad{i}
	}
	if i%3 == 1 {
		return fmt.Errorf("wrapped: %w", &Bad{i})
	}
	return nil
}

func traced(name string, i int) int { fmt.Print(name, " "); return i }

func whole(x any) string {
	var b *Bad
	switch v := x.(type) {
	case nil:
		return "nil"
	case int, int8:
		return fmt.Sprintf("i%v", v)
	case string:
		return "s" + v
	case error:
		return fmt.Sprint("e", v, errors.As(v, &b))
	case I:
		return "I" + strconv.Itoa(v.M(1))
	case []int:
		return "l" + strconv.Itoa(len(v))
	case func(int) int:
		return "f" + strconv.Itoa(v(3))
	}
	return fmt.Sprintf("%T %v", x, x)
}

var _ = slices.Max[[]int]
var _ = strings.Repeat
`

// randomProgram makes a program that compiles, ends and prints the same every
// time.
func randomProgram(seed int64) string {
	g := &generator{r: rand.New(rand.NewSource(seed))}
	g.b.WriteString(randomPrelude)
	functions := 3 + g.r.Intn(3)
	for f := range functions {
		g.function(f)
	}
	g.b.WriteString("\nfunc main() {\n")
	for f := range functions {
		fmt.Fprintf(&g.b, "\tfmt.Println(f%d(%d, %q, []int{1, 2, 3}))\n", f, g.r.Intn(9)-4, "ab")
	}
	g.b.WriteString("}\n")
	return g.b.String()
}

type generator struct {
	r     *rand.Rand
	b     strings.Builder
	vars  []variable
	next  int // number of the next name
	depth int // of statements
	loops int // around the statement
	funcs int // that may be called
	inLit int // function literals around the statement
}

type variable struct{ name, typ string }

var randomTypes = []string{"int", "int", "int", "int8", "uint8", "uint32", "int64", "float64", "string", "string", "bool",
	"[]int", "map[string]int", "S", "*S", "[3]int", "func(int) int", "any", "[]S", "N", "I", "error", "*int", "[]string", "Stack[int]"}

func (g *generator) typ() string { return randomTypes[g.r.Intn(len(randomTypes))] }

func (g *generator) line(format string, args ...any) {
	g.b.WriteString(strings.Repeat("\t", g.depth+1))
	fmt.Fprintf(&g.b, format+"\n", args...)
}

func (g *generator) name() string { g.next++; return fmt.Sprintf("v%d", g.next) }

func (g *generator) function(number int) {
	g.vars = []variable{{"i", "int"}, {"s", "string"}, {"xs", "[]int"}}
	named := g.r.Intn(2) == 0
	result := "(int, string)"
	if named {
		result = "(ri int, rs string)"
		g.vars = append(g.vars, variable{"ri", "int"}, variable{"rs", "string"})
	}
	fmt.Fprintf(&g.b, "\nfunc f%d(i int, s string, xs []int) %s {\n", number, result)
	g.block(8 + g.r.Intn(10))
	for _, v := range g.vars {
		if v.typ != "*S" && v.typ != "*int" && v.typ != "func(int) int" && v.typ != "any" && v.typ != "I" && v.typ != "error" {
			g.line("fmt.Println(%q, %s)", v.name, v.name)
		} else {
			g.line("fmt.Println(%q, %s)", v.name, g.shown(v))
		}
	}
	g.line("return %s, %s", g.expr("int", 2), g.expr("string", 2))
	g.b.WriteString("}\n")
	g.funcs = number + 1
}

// shown prints what a pointer or an interface holds, not its address.
func (g *generator) shown(v variable) string {
	switch v.typ {
	case "*S":
		return v.name + ".String()"
	case "*int":
		return "*" + v.name
	}
	return "whole(" + v.name + ")"
}

// block writes n statements in a scope of their own.
func (g *generator) block(n int) {
	for range n {
		g.statement()
	}
}

func (g *generator) scoped(n int) {
	outer := len(g.vars)
	g.depth++
	g.block(n)
	g.depth--
	g.vars = g.vars[:outer]
}

func (g *generator) pick(typ string) (string, bool) {
	var fit []string
	for _, v := range g.vars {
		if v.typ == typ {
			fit = append(fit, v.name)
		}
	}
	if len(fit) == 0 {
		return "", false
	}
	return fit[g.r.Intn(len(fit))], true
}

func (g *generator) declare(name, typ string) {
	g.vars = append(g.vars, variable{name, typ})
	g.line("_ = %s", name)
}

// place is something of a type that can be assigned to.
func (g *generator) place(typ string) (string, bool) {
	if typ == "int" && g.r.Intn(2) == 0 {
		options := []string{}
		if v, ok := g.pick("[3]int"); ok {
			options = append(options, v+fmt.Sprintf("[%d]", g.r.Intn(3)), v+"[uint("+g.expr("int", 1)+")%3]")
		}
		if v, ok := g.pick("map[string]int"); ok {
			options = append(options, v+"["+g.expr("string", 1)+"]")
		}
		if v, ok := g.pick("S"); ok {
			options = append(options, v+".A", v+".D[1]")
		}
		if v, ok := g.pick("*S"); ok {
			options = append(options, v+".A", v+".D[2]")
		}
		if v, ok := g.pick("*int"); ok {
			options = append(options, "*"+v)
		}
		if len(options) > 0 {
			return options[g.r.Intn(len(options))], true
		}
	}
	if typ == "uint8" && g.r.Intn(2) == 0 {
		if v, ok := g.pick("S"); ok {
			return v + ".K", true
		}
	}
	v, ok := g.pick(typ)
	return v, ok && !strings.ContainsAny(v, "+*") // loops end
}

func (g *generator) statement() {
	if g.depth > 3 {
		g.assignment()
		return
	}
	switch g.r.Intn(26) {
	case 0, 1, 2, 3, 4, 5:
		t, n := g.typ(), g.name()
		switch g.r.Intn(3) {
		case 0:
			g.line("var %s %s = %s", n, t, g.expr(t, 3))
		default:
			g.line("%s := %s", n, g.typed(t))
		}
		g.declare(n, t)
	case 6, 7, 8:
		g.assignment()
	case 9:
		a, b := g.typ(), g.typ()
		p, ok1 := g.place(a)
		q, ok2 := g.place(b)
		if ok1 && ok2 && p != q {
			g.line("%s, %s = %s, %s", p, q, g.expr(a, 2), g.expr(b, 2))
		}
	case 10:
		g.line("if %s {", g.expr("bool", 3))
		g.scoped(2)
		if g.r.Intn(2) == 0 {
			n := g.name()
			g.line("} else if %s := %s; %s > %s {", n, g.typed("int"), n, g.expr("int", 1))
			g.scoped(1)
			if g.r.Intn(2) == 0 {
				g.line("} else {")
				g.scoped(1)
			}
		}
		g.line("}")
	case 11, 12:
		g.loop()
	case 13:
		g.switches()
	case 14:
		n := g.name()
		g.line("%s := []func(int) int{}", n)
		v, limit := g.name(), 2+g.r.Intn(3)
		g.line("for %s := 0; %s < %d; %s++ {", v, v, limit, v)
		g.vars = append(g.vars, variable{v, "int"})
		g.line("\t%s = append(%s, func(a int) int { %s += a; return %s + %s })", n, n, v, v, g.expr("int", 1))
		g.vars = g.vars[:len(g.vars)-1]
		g.line("}")
		g.line("for _, f := range %s {", n)
		g.line("\tfmt.Print(f(1), f(2), \" \")")
		g.line("}")
	case 15:
		if g.loops == 0 {
			g.line("defer func(a int) { fmt.Println(\"deferred\", a, %s) }(%s)", g.expr("int", 2), g.expr("int", 2))
		}
	case 16:
		g.line("fmt.Println(%s, %s, %s)", g.expr("int", 3), g.expr("string", 3), g.expr("float64", 2))
	case 17:
		a, b := g.name(), g.name()
		g.line("%s, %s := many(%s, %s, %s)", a, b, g.expr("int", 1), g.expr("int", 1), g.expr("int", 2))
		g.declare(a, "int")
		g.declare(b, "string")
	case 18:
		if v, ok := g.pick("map[string]int"); ok {
			a, b := g.name(), g.name()
			g.line("%s, %s := %s[%s]", a, b, v, g.expr("string", 1))
			g.declare(a, "int")
			g.declare(b, "bool")
			if g.r.Intn(3) == 0 {
				g.line("delete(%s, %s)", v, g.expr("string", 1))
			}
		}
	case 19:
		if v, ok := g.pick("any"); ok {
			a, b, t := g.name(), g.name(), g.typ()
			g.line("%s, %s := %s.(%s)", a, b, v, t)
			g.line("_ = %s", a)
			g.declare(b, "bool")
		}
	case 20:
		if v, ok := g.pick("S"); ok { // a copy, and what of it is shared
			n := g.name()
			g.line("%s := %s", n, v)
			g.line("%s.A, %s.D[0], %s.B = %s, 7, %s", n, n, n, g.expr("int", 1), g.expr("string", 1))
			g.line("%s.Set(2)", n)
			g.declare(n, "S")
			g.line("fmt.Println(%s, %s)", v, n)
		}
	case 21:
		g.line("func() {")
		g.line("\tdefer func() { r := recover(); fmt.Println(\"recovered\", r) }()")
		g.inLit++
		outer, loops := len(g.vars), g.loops
		g.loops = 0
		g.scoped(2)
		g.line("\tif %s {", g.expr("bool", 1))
		g.line("\t\tpanic(%s)", g.expr([]string{"int", "string", "error"}[g.r.Intn(3)], 2))
		g.line("\t}")
		g.scoped(1)
		g.vars, g.loops = g.vars[:outer], loops
		g.inLit--
		g.line("}()")
	case 22:
		if g.loops > 0 {
			g.line("if %s {", g.expr("bool", 2))
			g.line("\t%s", []string{"continue", "break"}[g.r.Intn(2)])
			g.line("}")
		} else if g.inLit == 0 && g.depth > 0 {
			g.line("if %s {", g.expr("bool", 2))
			g.line("\treturn %s, %s", g.expr("int", 2), g.expr("string", 2))
			g.line("}")
		}
	case 23:
		n := g.name()
		g.line("%s := make(chan int, 4)", n)
		g.line("go func() { defer close(%s); for q := range 3 { %s <- q * %s } }()", n, n, g.expr("int", 0))
		sum := g.name()
		g.line("%s := 0", sum)
		g.line("for q := range %s { %s = %s*3 + q }", n, sum, sum)
		g.declare(sum, "int")
	case 24:
		if v, ok := g.pick("[]int"); ok { // sharing of the array below
			a := g.name()
			g.line("%s := append(%s[:len(%s):len(%s)], %s)", a, v, v, v, g.expr("int", 1))
			g.line("if len(%s) > 1 { %s[0], %s[1] = %s[1], %s[0] }", a, a, a, a, a)
			g.declare(a, "[]int")
		}
	case 25:
		g.line("fmt.Println(traced(\"a\", %s) + traced(\"b\", %s) * traced(\"c\", 2), traced(\"d\", 1))", g.expr("int", 1), g.expr("int", 1))
	}
}

func (g *generator) assignment() {
	t := g.typ()
	p, ok := g.place(t)
	if !ok {
		return
	}
	switch t {
	case "int", "int8", "uint8", "uint32", "int64":
		switch g.r.Intn(4) {
		case 0:
			g.line("%s%s", p, []string{"++", "--"}[g.r.Intn(2)])
			return
		case 1:
			g.line("%s %s= %s", p, []string{"+", "-", "*", "&", "|", "^", "&^"}[g.r.Intn(7)], g.expr(t, 2))
			return
		case 2:
			g.line("%s %s= %d", p, []string{"<<", ">>"}[g.r.Intn(2)], g.r.Intn(9))
			return
		}
	case "string":
		if g.r.Intn(2) == 0 {
			g.line("if len(%s) < 40 { %s += %s }", p, p, g.expr(t, 1))
			return
		}
	case "[]int", "[]string":
		if g.r.Intn(2) == 0 {
			g.line("if len(%s) < 12 { %s = append(%s, %s, %s) }", p, p, p, g.expr(t[2:], 2), g.expr(t[2:], 1))
			return
		}
	}
	g.line("%s = %s", p, g.expr(t, 3))
}

func (g *generator) loop() {
	if g.loops > 1 {
		return
	}
	g.loops++
	defer func() { g.loops-- }()
	outer := len(g.vars)
	v := g.name()
	body := func(n int) {
		for _, v := range g.vars[outer:] {
			g.line("\t_ = %s", v.name)
		}
		g.scoped(n)
		g.vars = g.vars[:outer]
		g.line("}")
	}
	switch g.r.Intn(5) {
	case 0:
		g.line("for %s := range %d {", v, 1+g.r.Intn(4))
		g.vars = append(g.vars, variable{v + "+0", "int"})
		body(3)
	case 1:
		g.line("for %s := %d; %s > 0; %s-- {", v, 1+g.r.Intn(4), v, v)
		g.vars = append(g.vars, variable{v + "*1", "int"})
		body(3)
	case 2:
		w := g.name()
		g.line("for %s, %s := range %s {", v, w, g.expr("[]int", 1))
		g.line("\tif %s > 5 { break }", v)
		g.vars = append(g.vars, variable{v + "+0", "int"}, variable{w, "int"})
		body(2)
	case 3:
		w := g.name()
		g.line("for %s, %s := range \"aé%d\" {", v, w, g.r.Intn(9))
		g.line("\tfmt.Print(%s, string(%s), \" \")", v, w)
		g.vars = append(g.vars, variable{v + "+0", "int"}, variable{"int(" + w + ")+0", "int"})
		body(1)
	case 4:
		w := g.name()
		g.line("for %s, %s := range [3]int{%s, 2, %s} {", v, w, g.expr("int", 1), g.expr("int", 1))
		g.vars = append(g.vars, variable{v + "+0", "int"}, variable{w, "int"})
		body(2)
	}
}

func (g *generator) switches() {
	loops := g.loops
	g.loops = 0 // break would leave the switch: none, and no continue
	defer func() { g.loops = loops }()
	switch g.r.Intn(3) {
	case 0:
		g.line("switch %s & 3 {", g.expr("int", 2))
		g.line("case 0, 1:")
		g.scoped(1)
		if g.r.Intn(2) == 0 {
			g.line("\tfallthrough")
		}
		g.line("case 2:")
		g.scoped(1)
		g.line("default:")
		g.scoped(1)
	case 1:
		g.line("switch {")
		for range 2 {
			g.line("case %s:", g.expr("bool", 2))
			g.scoped(1)
		}
		g.line("default:")
		g.scoped(1)
	case 2:
		v, n := g.expr("any", 1), g.name()
		g.line("switch %s := %s.(type) {", n, v)
		for _, t := range []string{"int", "string", "S", "N", "[]int", "error"}[g.r.Intn(3):] {
			g.line("case %s:", t)
			g.vars = append(g.vars, variable{n, t})
			g.line("\t_ = %s", n)
			g.scoped(1)
			g.vars = g.vars[:len(g.vars)-1]
		}
		g.line("default:")
		g.line("\t_ = %s", n)
	}
	g.line("}")
}

// typed is an expression whose own type is typ.
func (g *generator) typed(typ string) string {
	switch typ {
	case "int", "string", "bool", "[]int", "map[string]int", "S", "*S", "[3]int", "[]S", "[]string", "Stack[int]", "*int":
		return g.expr(typ, 3)
	case "func(int) int":
		return "(func(int) int)(" + g.expr(typ, 3) + ")"
	}
	return typ + "(" + g.expr(typ, 3) + ")"
}
