package tensor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
	"dpolab/runtime/tensor"
	"dpolab/runtime/tensor/gradcheck"
)

func inputs(dev *tensor.Device, c gradientCase) []*T {
	var in []*T
	for i, s := range c.shapes {
		in = append(in, input(dev, float64(2*i+1), s...))
	}
	return in
}

// checkedOps runs every gradient check and returns the operations that the
// checked graphs recorded.
func checkedOps(t *testing.T) map[string]bool {
	checked := map[string]bool{}
	for _, composed := range []bool{false, true} {
		dev := refDevice()
		if composed {
			dev = tensor.OpenOn(required{ref.New(device.Device{Type: device.Ref})})
		}
		note := func(fn func(in []*T) *T) func(in []*T) *T {
			return func(in []*T) *T {
				y := fn(in)
				for op := range tensor.RecordedOps(y) {
					checked[op] = true
				}
				return y
			}
		}
		for _, c := range gradientCases() {
			if err := gradcheck.Check(note(c.fn), inputs(dev, c), gradcheck.DefaultOptions()); err != nil {
				t.Errorf("%s (composed %v): %v", c.name, composed, err)
			}
		}
		// A conversion rounds, so it is checked with a step that survives that.
		o := gradcheck.Options{Step: 0.5, Absolute: 1e-5}
		to := note(func(in []*T) *T { return in[0].To(dtype.Float32).MulScalar(3) })
		if err := gradcheck.Check(to, []*T{input(dev, 1, 4)}, o); err != nil {
			t.Errorf("to: %v", err)
		}
	}
	return checked
}

// TestGradients checks the gradient of every operation that the package's
// source records, so that a new one without a check fails here.
func TestGradients(t *testing.T) {
	checked := checkedOps(t)
	ops := sourceOps(t)
	if len(ops) < 40 {
		t.Errorf("found only %d recorded operations: the scan is broken", len(ops))
	}
	for op := range ops {
		if !checked[op] {
			t.Errorf("operation %q has no gradient check", op)
		}
	}
	for op := range checked {
		if !ops[op] {
			t.Errorf("operation %q was recorded but not found in the source: the scan is broken", op)
		}
	}
}

// sourceOps reads the package's source for the names under which operations
// are recorded: the first arguments of record and attach, and of functions
// that pass their own first parameter on to those.
func sourceOps(t *testing.T) map[string]bool {
	var functions []*ast.FuncDecl
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				functions = append(functions, f)
			}
		}
	}
	recorders := map[string]bool{"record": true, "attach": true}
	ops := map[string]bool{}
	for grown := true; grown; {
		grown = false
		for _, f := range functions {
			ast.Inspect(f.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				name, ok := call.Fun.(*ast.Ident)
				if !ok || !recorders[name.Name] {
					return true
				}
				switch arg := call.Args[0].(type) {
				case *ast.BasicLit:
					op, _ := strconv.Unquote(arg.Value)
					ops[op] = true
				case *ast.Ident:
					first := f.Type.Params.List[0].Names[0].Name
					if arg.Name != first {
						t.Errorf("%s: the operation's name is neither a literal nor the first parameter", f.Name.Name)
					} else if !recorders[f.Name.Name] {
						recorders[f.Name.Name], grown = true, true
					}
				default:
					t.Errorf("%s: the operation's name is neither a literal nor the first parameter", f.Name.Name)
				}
				return true
			})
		}
	}
	return ops
}

// TestFusedIsComposition compares each fused operation with the composition it
// stands for.
func TestFusedIsComposition(t *testing.T) {
	for _, c := range gradientCases() {
		var results [2][]float64
		for i, dev := range []*tensor.Device{refDevice(), tensor.OpenOn(required{ref.New(device.Device{Type: device.Ref})})} {
			results[i] = c.fn(inputs(dev, c)).Float64s()
		}
		for j := range results[0] {
			if math.Abs(results[0][j]-results[1][j]) > 1e-12*(1+math.Abs(results[0][j])) {
				t.Errorf("%s: element %d: fused %g, composed %g", c.name, j, results[0][j], results[1][j])
				break
			}
		}
	}
}

// TestGradientTypes checks that bfloat16 leaves may collect float32 gradients
// that lose nothing over microbatches, whatever the operation.
func TestGradientTypes(t *testing.T) {
	dev := refDevice()
	leaf := func(seed float64, shape ...int) *T {
		return input(dev, seed, shape...).To(dtype.BFloat16).Detach().SetRequiresGrad(true).SetGradDType(dtype.Float32)
	}
	x := input(dev, 1, 5, 4).To(dtype.BFloat16)
	w, b, scale := leaf(2, 3, 4), leaf(3, 3), leaf(4, 3)
	const microbatches = 300 // beyond what 8 bits of mantissa can count
	const flow = 1 + 1.0/128 // its sum over five rows needs more than 8 bits
	for range microbatches {
		dev.Scope(func() *T {
			y := tensor.Linear(x, w, b).Add(scale)
			y.Backward(tensor.Full(dev, dtype.BFloat16, flow, 5, 3))
			return nil
		})
	}
	sums := x.To(dtype.Float32).SumDim(0, false).Float64s()
	for name, c := range map[string]struct {
		leaf *T
		want func(i int) float64
	}{
		"weight": {w, func(i int) float64 { return microbatches * flow * sums[i%4] }},
		"bias":   {b, func(int) float64 { return microbatches * flow * 5 }},
		"scale":  {scale, func(int) float64 { return microbatches * flow * 5 }},
	} {
		g := c.leaf.Grad()
		if g.DType() != dtype.Float32 {
			t.Fatalf("%s: gradient is %s", name, g.DType())
		}
		for i, v := range g.Float64s() {
			if want := c.want(i); math.Abs(v-want) > 1e-4*math.Abs(want) {
				t.Errorf("%s: element %d: %g, want %g", name, i, v, want)
			}
		}
	}
}
