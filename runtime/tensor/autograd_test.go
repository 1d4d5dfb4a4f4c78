package tensor_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

func leaf(dev *tensor.Device, v ...float64) *T {
	return tensor.FromFloat64(dev, v).SetRequiresGrad(true)
}

func expect(t *testing.T, what string, got *T, want ...float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: none, want %v", what, want)
		return
	}
	for i, v := range got.Float64s() {
		if !(math.Abs(v-want[i]) <= 1e-12*(1+math.Abs(want[i]))) {
			t.Errorf("%s: %v, want %v", what, got.Float64s(), want)
			return
		}
	}
}

// panics runs fn and returns the *tensor.Error it must end with.
func panics(t *testing.T, what, want string, fn func()) *tensor.Error {
	t.Helper()
	err := tensor.Try(fn)
	var e *tensor.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: no *tensor.Error but %v", what, err)
		return nil
	}
	if !strings.Contains(e.Error(), want) {
		t.Errorf("%s: error %q, want %q in it", what, e, want)
	}
	return e
}

func TestDiamond(t *testing.T) {
	dev := refDevice()
	x := leaf(dev, 2)
	for pass := 1; pass <= 3; pass++ {
		a := x.Square()        // 4
		left := a.MulScalar(3) // 12
		right := a.Mul(x)      // 8
		left.Mul(right).Sum().Backward(nil)
		// 3x²·x³ has slope 15x⁴, and gradients add up over passes.
		expect(t, fmt.Sprintf("pass %d", pass), x.Grad(), float64(pass)*15*16)
	}
	x.ZeroGrad()
	if x.Grad() != nil {
		t.Error("ZeroGrad left a gradient")
	}
}

func TestGraphRunsOnce(t *testing.T) {
	dev := refDevice()
	x := leaf(dev, 3)
	shared := x.Square()
	y := shared.Sum()
	y.Backward(nil)
	panics(t, "again", "graph", func() { y.Backward(nil) })
	panics(t, "through a part that has run", "graph", func() { shared.Exp().Sum().Backward(nil) })
	expect(t, "gradient", x.Grad(), 6)
	panics(t, "untracked", "requires a gradient", func() { x.Detach().Backward(nil) })
	panics(t, "leaf", "leaf", func() { x.Backward(nil) })
	panics(t, "no gradient for many", "not a scalar", func() { leaf(dev, 1, 2).Exp().Backward(nil) })
	panics(t, "wrong gradient", "[2]", func() { leaf(dev, 1, 2).Exp().Backward(leaf(dev, 1, 2, 3)) })
	panics(t, "a result as leaf", "a leaf", func() { x.Exp().SetRequiresGrad(false) })
	panics(t, "integers", "floating", func() { tensor.FromInt32(dev, []int32{1}).SetRequiresGrad(true) })
}

func TestNoGrad(t *testing.T) {
	dev := refDevice()
	x := leaf(dev, 3)
	dev.NoGrad(func() {
		if x.Exp().RequiresGrad() || dev.GradEnabled() {
			t.Error("recorded under NoGrad")
		}
		dev.EnableGrad(func() {
			if !x.Exp().RequiresGrad() {
				t.Error("not recorded under EnableGrad")
			}
		})
		if dev.GradEnabled() {
			t.Error("EnableGrad outlived its function")
		}
	})
	_ = tensor.Try(func() { dev.NoGrad(func() { x.Reshape(5) }) })
	if !dev.GradEnabled() {
		t.Error("NoGrad outlived a panic")
	}
	x.Detach().Mul(x).Sum().Backward(nil)
	expect(t, "detached factor", x.Grad(), 3)
}

func TestGradientsShareNoMemory(t *testing.T) {
	dev := refDevice()
	a, b, c := leaf(dev, 1, 2), leaf(dev, 3, 4), leaf(dev, 5, 6)
	dy := tensor.FromFloat64(dev, []float64{10, 20})
	tensor.Cat(0, []*T{a.Add(b), tensor.Hook(c, func() {})}).Narrow(0, 0, 2).Backward(dy)
	a.Grad().Zero()
	expect(t, "the other operand", b.Grad(), 10, 20)
	expect(t, "the caller's", dy, 10, 20)
	expect(t, "unused", c.Grad(), 0, 0)

	x := leaf(dev, 1, 2)
	y := x.Clone()
	y.Add(y).Add(x).Backward(dy)
	expect(t, "several uses", x.Grad(), 30, 60)
	expect(t, "the caller's", dy, 10, 20)
}

func TestGradientOfReleasedLeaf(t *testing.T) {
	dev := refDevice()
	start := dev.MemoryStats().LiveBytes
	dev.Scope(func() *T {
		x := leaf(dev, 2, 3)
		y := dev.Scope(func() *T { return leaf(dev, 5, 7).Mul(x) })
		y.Sum().Backward(nil)
		expect(t, "gradient", x.Grad(), 5, 7)
		return nil
	})
	if live := dev.MemoryStats().LiveBytes; live != start {
		t.Errorf("%d bytes live, %d before", live, start)
	}
}

func TestHooks(t *testing.T) {
	dev := refDevice()
	var log []string
	note := func(s string) func() { return func() { log = append(log, s) } }
	x := leaf(dev, 2)
	h := tensor.Hook(x, func() {
		note("in")()
		dev.AtBackwardEnd(note("end 1"))
		dev.AtBackwardEnd(func() { note("end 2")(); dev.AtBackwardEnd(note("end 3")) })
	})
	h = tensor.Checkpoint(h, func(x *T) *T {
		return tensor.Hook(tensor.Hook(x, note("inner in")).Exp(), func() {
			note("inner out")()
			dev.AtBackwardEnd(note("end 0"))
		})
	})
	tensor.Hook(h, note("out")).Sum().Backward(nil)
	if got, want := strings.Join(log, ", "), "out, inner out, inner in, in, end 0, end 1, end 2, end 3"; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
	panics(t, "outside backward", "running", func() { dev.AtBackwardEnd(func() {}) })

	log = nil
	y := tensor.Hook(x, func() { dev.AtBackwardEnd(note("end of a failed pass")); x.Reshape(7) }).Sum()
	panics(t, "failing hook", "reshape", func() { y.Backward(nil) })
	x.Exp().Sum().Backward(nil)
	if len(log) > 0 {
		t.Errorf("a later pass ran what a failed one left: %v", log)
	}
}

func TestCheckpoint(t *testing.T) {
	dev := refDevice()
	x, w := leaf(dev, 0.5, -1), leaf(dev, 2, 3)
	calls := 0
	block := func(x *T) *T { calls++; return x.Mul(w).Tanh().Mul(x) }
	grads := func(y *T) (gx, gw []float64) {
		y.Sum().Backward(nil)
		gx, gw = x.Grad().Float64s(), w.Grad().Float64s()
		x.ZeroGrad()
		w.ZeroGrad()
		return gx, gw
	}
	wantX, wantW := grads(block(block(x)))
	for name, fn := range map[string]func() *T{
		"one each": func() *T { return tensor.Checkpoint(tensor.Checkpoint(x, block), block) },
		"both":     func() *T { return tensor.Checkpoint(x, func(x *T) *T { return block(block(x)) }) },
		"nested": func() *T {
			return tensor.Checkpoint(x, func(x *T) *T { return block(tensor.Checkpoint(x, block)) })
		},
		"scoped": func() *T {
			return tensor.Checkpoint(x, func(x *T) *T { return dev.Scope(func() *T { return block(block(x)) }) })
		},
	} {
		gx, gw := grads(fn())
		for i := range gx {
			if math.Abs(gx[i]-wantX[i]) > 1e-14 || math.Abs(gw[i]-wantW[i]) > 1e-14 {
				t.Errorf("%s: gradients %v and %v, want %v and %v", name, gx, gw, wantX, wantW)
			}
		}
	}
	calls = 0
	y := tensor.Checkpoint(x, block)
	if calls != 1 {
		t.Errorf("%d calls in forward", calls)
	}
	y.Sum().Backward(nil)
	if calls != 2 {
		t.Errorf("%d calls in both passes", calls)
	}
	x.ZeroGrad()
	w.ZeroGrad()

	tensor.Checkpoint(x.Detach(), func(x *T) *T { return x.Mul(w) }).Sum().Backward(nil)
	expect(t, "parameter alone", w.Grad(), 0.5, -1)
	tensor.Checkpoint(x, func(x *T) *T { return x }).Sum().Backward(nil)
	expect(t, "identity", x.Grad(), 1, 1)
	w.ZeroGrad()
	tensor.Checkpoint(x, func(*T) *T { return w }).Sum().Backward(nil)
	expect(t, "a tensor from outside", w.Grad(), 1, 1)
	if tensor.RecordedOps(w)["checkpoint"] {
		t.Error("the checkpoint took the parameter into its graph")
	}
	plain := leaf(dev, 1).Detach()
	tensor.Checkpoint(plain, func(x *T) *T { return x.Exp() }).Sum().Backward(nil) // nothing wants a gradient
	dev.NoGrad(func() {
		if tensor.Checkpoint(x, block).RequiresGrad() {
			t.Error("recorded under NoGrad")
		}
	})
	calls = 0
	panics(t, "another shape in backward", "when computed for backward", func() {
		tensor.Checkpoint(x, func(x *T) *T { calls++; return x.Narrow(0, 0, calls) }).Sum().Backward(nil)
	})
}

func TestInPlace(t *testing.T) {
	dev := refDevice()
	x := leaf(dev, 1, 2)
	panics(t, "fill a leaf", "fill: want", func() { x.Fill(3) })
	panics(t, "fill a result", "fill: want", func() { x.Exp().Fill(3) })
	panics(t, "copy a tracked source", "copy_from: want", func() { tensor.Zeros(dev, dtype.Float64, 2).CopyFrom(x) })
	panics(t, "add a tracked source", "add_scaled: want", func() { tensor.Zeros(dev, dtype.Float64, 2).AddScaledInPlace(1, x) })
	dev.NoGrad(func() { x.AddScaledInPlace(10, x) })
	expect(t, "in place", x, 11, 22)
	expect(t, "copy", tensor.Zeros(dev, dtype.Float64, 2).CopyFrom(tensor.FromInt32(dev, []int32{4, 5})), 4, 5)

	for name, write := range map[string]func(){
		"itself": func() { dev.NoGrad(func() { x.Zero() }) },
		"a view": func() { x.Detach().Reshape(2, 1).Narrow(0, 1, 1).Zero() },
		"touch":  func() { x.Touch() },
	} {
		y := x.Square().Sum()
		write()
		panics(t, name, "changed in place", func() { y.Backward(nil) })
		x.ZeroGrad()
	}
	x.Square().Sum().Backward(nil) // saved after the writes
	expect(t, "a later graph", x.Grad(), 0, 0)
	x.ZeroGrad()
	y := x.AddScalar(1).Sum() // saves nothing
	dev.NoGrad(func() { x.Fill(7) })
	y.Backward(nil)
	expect(t, "unsaved", x.Grad(), 1, 1)
}

func TestDiscard(t *testing.T) {
	dev := refDevice()
	x, w := leaf(dev, 1, 2, 3), leaf(dev, 4, 5, 6)
	live := dev.MemoryStats().LiveBytes
	w.Discard()
	if got := live - dev.MemoryStats().LiveBytes; got != 24 {
		t.Errorf("discarding freed %d bytes, want 24", got)
	}
	panics(t, "use", "discarded", func() { w.Exp() })
	fill := func() {
		w.Restore()
		dev.Backend().Copy(w.Array(), tensor.FromFloat64(dev, []float64{4, 5, 6}).Array())
	}
	fill()
	y := x.Mul(w).Sum()
	w.Discard()
	panics(t, "backward without", "discarded", func() { x.Mul(leaf(dev, 1, 1, 1)).Mul(w).Sum().Backward(nil) })
	fill()
	w.Restore() // again, to no effect
	y.Backward(nil)
	expect(t, "x", x.Grad(), 4, 5, 6)
	expect(t, "w", w.Grad(), 1, 2, 3)
	w.Discard()
	w.Release()
}

// TestFailedBackward checks that a pass that fails half way leaves nothing
// behind that a later one would add up.
func TestFailedBackward(t *testing.T) {
	dev := refDevice()
	start := dev.MemoryStats().LiveBytes
	dev.Scope(func() *T {
		x := leaf(dev, 2)
		shared := x.Square()
		armed := true
		other := tensor.Hook(shared, func() {
			if armed {
				x.Reshape(9)
			}
		})
		bad := other.Mul(shared).Add(shared.Exp())
		panics(t, "backward", "reshape", func() { bad.Sum().Backward(nil) })
		panics(t, "what the pass had reached", "freed", func() { bad.Sum().Backward(nil) })
		if x.Grad() != nil {
			t.Error("the failed pass reached the leaf")
		}
		// Half of one operation's gradients: h gets its part before w's fails.
		h, w := x.MulScalar(3), leaf(dev, 5)
		bad = h.Mul(w)
		h.Detach().Zero()
		panics(t, "half", "changed in place", func() { bad.Sum().Backward(nil) })
		h.Sum().Backward(nil)
		expect(t, "after half", x.Grad(), 3)
		x.ZeroGrad()

		armed = false
		shared = x.Square()
		tensor.Hook(shared, func() {}).Mul(shared).Sum().Backward(nil)
		expect(t, "afterwards", x.Grad(), 32)
		return nil
	})
	if live := dev.MemoryStats().LiveBytes; live != start {
		t.Errorf("%d bytes live, %d before", live, start)
	}
}
