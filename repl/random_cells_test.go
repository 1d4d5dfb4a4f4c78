package repl

import (
	"flag"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"
)

var randomSessions = flag.Int("random.sessions", 12, "number of random sessions")

// TestRandomSessions types cells that declare, redefine, call, fail and are
// interrupted, and holds what they print against a compiled program in which
// every name has its newest meaning from the start of that cell on.
func TestRandomSessions(t *testing.T) {
	sessions, programs := map[string][]randomCell{}, map[string]string{}
	for i := range *randomSessions {
		seed := *randomSeed + int64(i)
		name := fmt.Sprintf("seed%d", seed)
		sessions[name], programs[name] = randomSession(seed)
	}
	compiled := compile(t, programs)
	for _, name := range sortedKeys(programs) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &safeBuffer{}
			s, err := NewSession(Options{Stdout: out, Stderr: &safeBuffer{}})
			if err != nil {
				t.Fatal(err)
			}
			var typed strings.Builder
			for i, c := range sessions[name] {
				fmt.Fprintf(&typed, "// cell %d, %s\n%s\n", i+1, c.ends, c.text)
				if c.ends == "interrupted" {
					stopAfter(s, 20*time.Millisecond)
				}
				err := s.Run(fmt.Sprintf("cell %d", i+1), c.text)
				if (err == nil) != (c.ends == "") || c.ends == "interrupted" && !IsInterrupt(err) {
					t.Errorf("cell %d: %v, want %q", i+1, err, c.ends)
				}
			}
			want, err := compiled(name)
			if err != nil {
				t.Error(err)
			}
			if got := out.take(); got != want {
				t.Errorf("typed and compiled differ:\n%s\n%s", difference(got, want), typed.String())
			}
		})
	}
}

// A randomCell is a cell and how it ends: "" well, "refused" by the checker,
// "failed" or "interrupted" while it runs.
type randomCell struct{ text, ends string }

// sessionWriter writes cells and, beside them, the body of the program that
// does the same: functions and methods are variables there, and a variable that
// gets another type is another variable.
type sessionWriter struct {
	r        *rand.Rand
	cells    []randomCell
	body     strings.Builder
	version  int      // of the name t, whose type changes
	versions []string // "var t3 string"
	reads    bool     // whether show, which reads t, is declared
}

func randomSession(seed int64) ([]randomCell, string) {
	w := &sessionWriter{r: rand.New(rand.NewSource(seed))}
	w.cell("x, y := 1, 2\ntype T struct{ A int }\nfunc (v T) M() int { return v.A }\nfunc f0(i int) int { return i }\nfunc f1(i int) int { return f0(i) + 1 }\nfunc f2(i int) int { return f1(i) * 2 }\nkept := func(i int) int { return f2(i) + x }\nvalue := T{3}", "")
	w.retype()
	for range 30 {
		w.step()
	}
	w.print()
	program := "package main\n\nimport \"fmt\"\n\ntype T struct{ A int }\n\nfunc (v T) M() int { return m(v) }\n\nvar x, y = 1, 2\nvar value = T{3}\n" +
		"var m = func(v T) int { return v.A }\nvar f0 = func(i int) int { return i }\nvar f1 = func(i int) int { return f0(i) + 1 }\nvar f2 = func(i int) int { return f1(i) * 2 }\n" +
		"var show = func() string { return \"\" }\n" +
		"func kept(i int) int { return f2(i) + x }\n" + strings.Join(w.versions, "\n") + "\n\nfunc main() {\n\t_ = show\n" + w.body.String() + "}\n"
	return w.cells, program
}

func (w *sessionWriter) cell(text, ends string) { w.cells = append(w.cells, randomCell{text, ends}) }

// both writes the same text as a cell and into the program.
func (w *sessionWriter) both(text string) {
	w.cell(text, "")
	w.body.WriteString("\t" + strings.ReplaceAll(text, "\n", "\n\t") + "\n")
}

func (w *sessionWriter) print() {
	w.cell("fmt.Println(x, y, t, f0(1), f1(2), f2(3), kept(4), value.M(), T{5}.M())", "")
	fmt.Fprintf(&w.body, "\tfmt.Println(x, y, t%d, f0(1), f1(2), f2(3), kept(4), value.M(), T{5}.M())\n", w.version)
}

// retype gives t another type.
func (w *sessionWriter) retype() {
	w.version++
	n := w.r.Intn(100)
	k := w.r.Intn(4)
	typ := []string{"int", "string", "[]float64", "map[string]T"}[k]
	literal := []string{fmt.Sprint(n), fmt.Sprintf("%q", fmt.Sprint("s", n)), fmt.Sprintf("[]float64{%d, 0.5}", n), fmt.Sprintf("map[string]T{\"k\": {%d}}", n)}[k]
	w.cell("t := "+literal, "")
	w.versions = append(w.versions, fmt.Sprintf("var t%d %s", w.version, typ))
	fmt.Fprintf(&w.body, "\tt%d = %s\n", w.version, literal)
	if w.reads { // it reads the new one
		fmt.Fprintf(&w.body, "\tshow = func() string { return fmt.Sprint(t%d) }\n", w.version)
	}
}

func (w *sessionWriter) step() {
	n := w.r.Intn(50)
	variable := []string{"x", "y"}[w.r.Intn(2)]
	switch w.r.Intn(11) {
	case 0, 1: // a function anew
		f := w.r.Intn(3)
		expr := fmt.Sprintf("i*%d + %s", n, variable)
		if f > 0 {
			expr += fmt.Sprintf(" - f%d(i+1)", w.r.Intn(f))
		}
		w.cell(fmt.Sprintf("func f%d(i int) int { return %s }", f, expr), "")
		fmt.Fprintf(&w.body, "\tf%d = func(i int) int { return %s }\n", f, expr)
	case 2:
		expr := fmt.Sprintf("v.A*%d + %s", n, variable)
		w.cell("func (v T) M() int { return "+expr+" }", "")
		fmt.Fprintf(&w.body, "\tm = func(v T) int { return %s }\n", expr)
	case 3:
		w.retype()
	case 4: // declared again, with the type it had
		w.cell(fmt.Sprintf("%s := %d", variable, n), "")
		fmt.Fprintf(&w.body, "\t%s = %d\n", variable, n)
	case 5:
		w.both(fmt.Sprintf("%s += f%d(%d) %% 1000\nvalue.A++", variable, w.r.Intn(3), n))
	case 6:
		w.cell(fmt.Sprintf("%s = \"wrong\"\nundefined%d()", variable, n), "refused")
	case 7: // fails half way
		w.cell(fmt.Sprintf("%s = %d\nvar none []int\nnone[%d] = 1\n%s = -1", variable, n, n, variable), "failed")
		fmt.Fprintf(&w.body, "\t%s = %d\n", variable, n)
	case 8: // interrupted half way
		w.cell(fmt.Sprintf("%s = %d\nfor {\n\tf0(1)\n}\n%s = -1", variable, n, variable), "interrupted")
		fmt.Fprintf(&w.body, "\t%s = %d\n", variable, n)
	case 9:
		if !w.reads {
			w.reads = true
			w.cell("func show() string { return fmt.Sprint(t) }", "")
			fmt.Fprintf(&w.body, "\tshow = func() string { return fmt.Sprint(t%d) }\n", w.version)
		}
		w.both("fmt.Println(show())")
	case 10:
		w.print()
	}
}
