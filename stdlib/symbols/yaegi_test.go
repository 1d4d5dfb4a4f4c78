package symbols_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/traefik/yaegi/interp"

	"dpolab/stdlib/symbols"
)

// interpret runs a whole program with the tables of the packages it imports,
// and returns what it prints.
func interpret(t *testing.T, program string, paths ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	i := interp.New(interp.Options{Stdout: &out, Stderr: &out})
	if err := i.Use(symbols.Base()); err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		table := symbols.Load(p)
		if table == nil {
			t.Fatalf("no table of %s", p)
		}
		if err := i.Use(interp.Exports{symbols.Key(p): table}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := i.Eval(program)
	return out.String(), err
}

func TestInterpretedPrograms(t *testing.T) {
	for _, c := range []struct {
		name, imports, body, decls, want string
	}{
		{"printing", "fmt strings", `fmt.Println(strings.ToUpper("dpo"), strings.Fields(" a  b "))`, "", "DPO [a b]\n"},
		{"constants are exact", "fmt math", `fmt.Println(uint64(math.MaxUint64), math.Pi, math.MaxInt8)`, "",
			"18446744073709551615 3.141592653589793 127\n"},
		{"typed constants", "fmt time os", `fmt.Println(2*time.Second, os.O_CREATE|os.O_EXCL != 0)`, "", "2s true\n"},
		{"untyped bool", "fmt syscall", `if syscall.ImplementsGetwd { b := syscall.ImplementsGetwd && true; fmt.Println(b) }`, "", "true\n"},
		{"sort.Interface", "fmt sort", `s := byLength{"ccc", "a", "bb"}; sort.Sort(s); fmt.Println(s)`,
			`type byLength []string
			func (b byLength) Len() int { return len(b) }
			func (b byLength) Less(i, j int) bool { return len(b[i]) < len(b[j]) }
			func (b byLength) Swap(i, j int) { b[i], b[j] = b[j], b[i] }`, "[a bb ccc]\n"},
		// The program names no package of io, but its writer is passed as one.
		{"io.Writer without io", "fmt bufio", `c := &counter{}; w := bufio.NewWriter(c); w.WriteString("four"); w.Flush(); fmt.Println(c.n)`,
			`type counter struct{ n int }
			func (c *counter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }`, "4\n"},
		{"Stringer", "fmt", `fmt.Println(point{1, 2}); fmt.Println(fmt.Sprintf("%v", point{3, 4}))`,
			`type point struct{ x, y int }
			func (p point) String() string { return fmt.Sprintf("<%d %d>", p.x, p.y) }`, "<1 2>\n<3 4>\n"},
		{"error", "fmt", `fmt.Println(broken{"disk"})`,
			`type broken struct{ what string }
			func (b broken) Error() string { return "broken " + b.what }`, "broken disk\n"},
		{"json both ways", "fmt encoding/json",
			`b, _ := json.Marshal(pair{"x", 2}); fmt.Println(string(b))
			var p pair
			fmt.Println(json.Unmarshal(b, &p), p.Name, p.N)`,
			"type pair struct { Name string `json:\"name\"`; N int }", `{"name":"x","N":2}` + "\n<nil> x 2\n"},
		{"gonum stat", "fmt gonum.org/v1/gonum/stat", `m, s := stat.MeanStdDev([]float64{1, 2, 3, 4}, nil); fmt.Printf("%.3f %.3f\n", m, s)`, "", "2.500 1.291\n"},
		{"gonum mat", "fmt gonum.org/v1/gonum/mat", `a := mat.NewDense(2, 2, []float64{1, 2, 3, 4}); fmt.Println(mat.Det(a) < -1.99, mat.Sum(a))`, "", "true 10\n"},
		{"package with another name", "fmt math/rand/v2", `r := rand.New(rand.NewPCG(1, 2)); fmt.Println(r.IntN(1000) < 1000)`, "", "true\n"},
		{"new names of the standard library", "fmt strings", `for _, f := range []string{"a", "b"} { fmt.Print(f) }; before, _, ok := strings.Cut("k=v", "="); fmt.Println(before, ok)
			strings.SplitSeq("x,y", ",")(func(s string) bool { fmt.Println(s); return true })`, "", "abk true\nx\ny\n"},
		{"our own package", "fmt dpolab/runtime/loss", `r, err := loss.Check(loss.DPO(0.1, 0)); fmt.Println(r.MaxError < 1e-3, err)`, "", "true <nil>\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString("package main\n")
			for _, p := range strings.Fields(c.imports) {
				fmt.Fprintf(&b, "import %q\n", p)
			}
			fmt.Fprintf(&b, "%s\nfunc main() {\n%s\n}\n", c.decls, c.body)
			got, err := interpret(t, b.String(), strings.Fields(c.imports)...)
			if err != nil || got != c.want {
				t.Errorf("printed %q (error %v), want %q", got, err, c.want)
			}
		})
	}
}

func TestExitIsAPanic(t *testing.T) {
	for _, c := range []struct {
		call string
		want symbols.ExitCode
	}{{"os.Exit(3)", 3}, {"os.Exit(0)", 0}} {
		_, err := interpret(t, "package main\nimport \"os\"\nfunc main() { "+c.call+" }")
		var p interp.Panic
		if !errors.As(err, &p) || p.Value != any(c.want) {
			t.Errorf("%s: error %v, want a panic with %v", c.call, err, c.want)
		}
	}
}
