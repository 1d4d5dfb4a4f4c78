package repl

import (
	"fmt"
	"strings"
)

// expr is an expression that can be assigned to typ. None is a constant, so
// that the compiler computes nothing ahead.
func (g *generator) expr(typ string, depth int) string {
	if v, ok := g.pick(typ); ok && (depth <= 0 || g.r.Intn(4) == 0) {
		return v
	}
	x := g.made(typ, depth)
	if strings.Contains(x, "{") && !strings.HasPrefix(x, "(") {
		return "(" + x + ")" // for the headers of if and switch
	}
	return x
}

// made is an expression other than a variable.
func (g *generator) made(typ string, depth int) string {
	depth--
	e := func(t string) string { return g.expr(t, depth) }
	choose := func(options ...func() string) string {
		if depth < 0 {
			return options[0]()
		}
		return options[g.r.Intn(len(options))]()
	}
	binary := func() string {
		op := []string{"+", "-", "*", "&", "|", "^", "&^"}[g.r.Intn(7)]
		return "(" + e(typ) + " " + op + " " + e(typ) + ")"
	}
	shift := func() string {
		return "(" + e(typ) + []string{" << ", " >> "}[g.r.Intn(2)] + "(uint(" + e("int") + ")%11))"
	}
	divide := func() string {
		return "(" + e(typ) + []string{" / ", " % "}[g.r.Intn(2)] + "(" + e(typ) + "|1))"
	}
	convert := func() string {
		return typ + "(" + e([]string{"int", "int8", "uint8", "uint32", "int64", "N"}[g.r.Intn(6)]) + ")"
	}
	literal := func(low, high int) func() string {
		return func() string { return fmt.Sprintf("k[%s](%d)", typ, low+g.r.Intn(high-low)) }
	}
	switch typ {
	case "int":
		return choose(literal(-9, 10), binary, binary, shift, divide, convert,
			func() string {
				return "len(" + e([]string{"string", "[]int", "map[string]int", "[]S"}[g.r.Intn(4)]) + ")"
			},
			func() string { return "at(" + e("[]int") + ", " + e("int") + ")" },
			func() string { return e("map[string]int") + "[" + e("string") + "]" },
			func() string { return e("S") + []string{".A", ".Val(2)", ".D[1]", ".Sum(3)"}[g.r.Intn(4)] },
			func() string { return e("*S") + []string{".A", ".Val(2)", ".Set(1)", ".M(4)", ".Bump(2)"}[g.r.Intn(5)] },
			func() string { return "(" + e("func(int) int") + ")(" + e("int") + ")" },
			func() string { return "-(" + e("int") + ")" },
			func() string { return "^(" + e("int") + ")" },
			func() string { return e("[3]int") + "[uint(" + e("int") + ")%3]" },
			func() string { return e("I") + ".M(" + e("int") + ")" },
			func() string { return "(*" + e("*int") + ")" },
			func() string { return "max(" + e("int") + ", " + e("int") + ", 3)" },
			func() string { return "int(" + e("float64") + "/1000)" },
			func() string { return "func() int { a, _ := many(" + e("int") + ", 2); return a }()" },
			func() string {
				if g.funcs == 0 || g.loops > 0 || g.depth > 1 {
					return e("int")
				}
				return fmt.Sprintf("func() int { a, b := f%d(%s, %s, nil); return a + len(b) }()", g.r.Intn(g.funcs), e("int"), e("string"))
			})
	case "int8":
		return choose(literal(-128, 128), binary, binary, shift, divide, convert)
	case "uint8":
		return choose(literal(0, 256), binary, binary, shift, divide, convert, func() string { return e("S") + ".K" })
	case "uint32", "int64":
		return choose(literal(0, 100000), binary, binary, shift, divide, convert)
	case "float64":
		return choose(func() string { return fmt.Sprintf("k(%d.%d)", g.r.Intn(9), g.r.Intn(99)) },
			func() string {
				return "(" + e(typ) + []string{" + ", " - ", " * "}[g.r.Intn(3)] + e(typ) + ")"
			},
			func() string { return "float64(" + e([]string{"int", "uint8", "int64"}[g.r.Intn(3)]) + "%97)" },
			func() string { return e("S") + ".F" })
	case "string":
		return choose(func() string { return fmt.Sprintf("k(%q)", []string{"", "x", "yz", "é", "long text"}[g.r.Intn(5)]) },
			func() string { return "(" + e(typ) + " + " + e(typ) + ")" },
			func() string { return "strconv.Itoa(" + e("int") + ")" },
			func() string {
				return "fmt.Sprint(" + e([]string{"int", "int8", "uint32", "S", "N", "[3]int", "[]string", "[]S", "map[string]int", "bool", "float64"}[g.r.Intn(11)]) + ")"
			},
			func() string { return "fmt.Sprintf(\"%v|%d\", " + e("N") + ", " + e("uint8") + ")" },
			func() string { return "whole(" + e("any") + ")" },
			func() string { return e("S") + ".B" },
			func() string { return e("N") + ".String()" },
			func() string { return "strings.ToUpper(" + e("string") + ")" },
			func() string { return "strings.Join(" + e("[]string") + ", \"-\")" })
	case "bool":
		compared := []string{"int", "int8", "uint8", "string", "float64", "N"}[g.r.Intn(6)]
		return choose(func() string { return "k(true)" },
			func() string {
				return "(" + e(compared) + []string{" == ", " != ", " < ", " >= "}[g.r.Intn(4)] + e(compared) + ")"
			},
			func() string { return "(" + e("bool") + []string{" && ", " || "}[g.r.Intn(2)] + e("bool") + ")" },
			func() string { return "!" + e("bool") },
			func() string { return "(" + e("[3]int") + " == " + e("[3]int") + ")" },
			func() string { return "(" + e("error") + " != nil)" },
			func() string { return "slices.Contains(" + e("[]int") + ", " + e("int") + ")" })
	case "[]int":
		return choose(func() string { return "[]int{" + e("int") + ", " + e("int") + "}" },
			func() string { return "append([]int{}, " + e("[]int") + "...)" },
			func() string { return "append([]int(nil), " + e("int") + ", " + e("int") + ")" },
			func() string { return "mapped(" + e("[]string") + ", func(a string) int { return len(a) })" },
			func() string { return e("S") + ".C" },
			func() string { return "slices.Sorted(slices.Values(" + e("[]int") + "))" },
			func() string { a := e("[3]int"); return "func() []int { a := " + a + "; return a[1:] }()" })
	case "[]string":
		return choose(func() string { return "[]string{" + e("string") + ", " + e("string") + "}" },
			func() string { return "mapped(" + e("[]int") + ", strconv.Itoa)" },
			func() string { return "strings.Fields(" + e("string") + ")" })
	case "[]S":
		return choose(func() string { return "[]S{" + e("S") + ", {A: " + e("int") + "}}" },
			func() string { return "append([]S(nil), " + e("S") + ")" })
	case "map[string]int":
		return choose(func() string { return "map[string]int{\"a\": " + e("int") + ", \"b\": 2}" },
			func() string { return "map[string]int{" + "\"c\" + " + e("string") + ": 1}" })
	case "[3]int":
		return choose(func() string { return "[3]int{" + e("int") + ", 2: " + e("int") + "}" },
			func() string { return e("S") + ".D" })
	case "S":
		return choose(func() string { return "S{A: " + e("int") + ", B: " + e("string") + "}" },
			func() string { return "(*" + e("*S") + ")" },
			func() string {
				return "S{C: " + e("[]int") + ", D: " + e("[3]int") + ", E: E{K: " + e("uint8") + ", F: " + e("float64") + "}}"
			})
	case "*S":
		return choose(func() string { return "(&S{A: " + e("int") + "})" },
			func() string { return "func() *S { a := " + e("S") + "; return &a }()" })
	case "*int":
		return choose(func() string { return "func() *int { a := " + e("int") + "; return &a }()" },
			func() string { return "&" + e("*S") + ".A" })
	case "func(int) int":
		return choose(func() string { return "func(a int) int { return a + " + e("int") + " }" },
			func() string { return e("S") + ".Val" },
			func() string { return "(" + e("*S") + ").Set" },
			func() string { return e("I") + ".M" },
			func() string { return "func(a int) int { a *= 2; return (" + e("func(int) int") + ")(a) }" })
	case "any":
		return "any(" + e([]string{"int", "string", "int8", "error", "S", "N", "[]int", "[3]int", "func(int) int", "*Bad"}[g.r.Intn(10)]) + ")"
	case "*Bad":
		return "&Bad{" + e("int") + "}"
	case "N":
		return choose(literal(-9, 10), func() string { return "N(" + e("int") + ")" }, binary)
	case "I":
		return choose(func() string { return "I(" + e("N") + ")" }, func() string { return "I(" + e("*S") + ")" })
	case "error":
		return choose(func() string { return "fails(" + e("int") + ")" }, func() string { return "errors.New(" + e("string") + ")" },
			func() string { return "error(&Bad{" + e("int") + "})" })
	case "Stack[int]":
		return choose(func() string { return "(*new(Stack[int]).Push(" + e("int") + "))" },
			func() string { return "Stack[int]{items: " + e("[]int") + "}" })
	}
	panic("no expression of type " + strings.TrimSpace(typ))
}
