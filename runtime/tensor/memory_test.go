package tensor_test

import (
	"errors"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
	"dpolab/runtime/tensor"
)

// limited is a backend whose memory can be bounded.
type limited interface {
	kernels.Backend
	SetLimit(bytes int64)
}

func backends(t *testing.T) map[string]limited {
	return map[string]limited{"ref": ref.New(device.Device{Type: device.Ref}), "cpu": newCPU(t)}
}

func live(dev *tensor.Device) int64 { return dev.MemoryStats().LiveBytes }

func TestScope(t *testing.T) {
	dev := refDevice()
	start := live(dev)
	outer := tensor.Zeros(dev, dtype.Float64, 4) // 32 bytes, in no scope
	var inner, kept *T
	result := dev.Scope(func() *T {
		mine := tensor.Zeros(dev, dtype.Float64, 4)
		// Returning a tensor of an enclosing scope, or of none, moves nothing.
		if dev.Scope(func() *T { return dev.Scope(func() *T { return mine }) }) != mine {
			t.Error("another tensor came back")
		}
		dev.Scope(func() *T { return outer.To(dtype.Float64) })
		inner = dev.Scope(func() *T {
			tensor.Zeros(dev, dtype.Float64, 4)
			kept = tensor.Zeros(dev, dtype.Float64, 4).Keep()
			return mine.AddScalar(1)
		})
		expect(t, "alive after inner scopes", inner.Add(mine).Add(outer), 1, 1, 1, 1)
		return mine.AddScalar(2)
	})
	panics(t, "inner", "released", func() { inner.Exp() })
	expect(t, "result", result.Add(outer).Add(kept), 2, 2, 2, 2)
	err := tensor.Try(func() {
		dev.Scope(func() *T {
			dev.Scope(func() *T { tensor.Zeros(dev, dtype.Float64, 100).Reshape(7); return nil })
			return nil
		})
	})
	if err == nil {
		t.Error("no error from a scope that failed")
	}
	before := live(dev)
	dev.Scope(func() *T { kept.Keep().Release(); kept.Release(); return nil })
	if live(dev) != before-32 {
		t.Errorf("releasing twice freed %d bytes, want 32", before-live(dev))
	}
	if held := live(dev) - start; held != 32*4 { // outer, result and two sums made outside scopes
		t.Errorf("%d bytes held, want %d", held, 32*4)
	}
}

// TestMemoryReturns runs every operation in a scope: memory must be what it was
// after a backward pass, after a graph was dropped without one, and after a
// panic.
func TestMemoryReturns(t *testing.T) {
	for _, composed := range []bool{false, true} {
		dev := refDevice()
		if composed {
			dev = tensor.OpenOn(required{dev.Backend()})
		}
		for _, c := range gradientCases() {
			in := inputs(dev, c)
			for _, x := range in {
				x.SetRequiresGrad(true)
			}
			start := live(dev)
			for what, fn := range map[string]func() *T{
				"backward": func() *T {
					y := c.fn(in)
					y.Backward(tensor.Zeros(dev, dtype.Float64, y.Shape()...))
					return nil
				},
				"dropped graph": func() *T { c.fn(in); return nil },
				"returned":      func() *T { return c.fn(in) },
				"panic":         func() *T { return c.fn(in).Reshape(1, 2, 3, 4, 5, 6, 7) },
			} {
				_ = tensor.Try(func() {
					if y := dev.Scope(fn); y != nil {
						y.Release()
					}
				})
				for _, x := range in {
					x.ZeroGrad()
				}
				if live(dev) != start {
					t.Errorf("%s (composed %v), %s: %d bytes live, %d before", c.name, composed, what, live(dev), start)
				}
			}
			for _, x := range in {
				x.Release()
			}
		}
		if live(dev) != 0 {
			t.Errorf("%d bytes live at the end", live(dev))
		}
	}
}

// TestOperationsLeaveNothing calls operations outside scopes: releasing their
// result must give everything back.
func TestOperationsLeaveNothing(t *testing.T) {
	for _, composed := range []bool{false, true} {
		dev := refDevice()
		if composed {
			dev = tensor.OpenOn(required{dev.Backend()})
		}
		x := input(dev, 1, 4, 6).SetRequiresGrad(true)
		w := input(dev, 2, 6).SetRequiresGrad(true)
		turn := tensor.Zeros(dev, dtype.Float64, 4, 1)
		at := ids(x, 0, 1, 2, 3)
		for name, fn := range map[string]func() *T{
			"mean":        x.Mean,
			"mean dim":    func() *T { return x.MeanDim(0, true) },
			"softmax":     func() *T { return x.Softmax(0) },
			"log softmax": func() *T { return x.LogSoftmax(0) },
			"index":       func() *T { return x.Index(-1) },
			"stack":       func() *T { return tensor.Stack(-1, []*T{x, x}) },
			"layer norm":  func() *T { return tensor.LayerNorm(x, w, w, 1e-5) },
			"rms norm":    func() *T { return tensor.RMSNorm(x, w, 1e-5) },
			"sum and norm": func() *T {
				sum, y := tensor.AddLayerNorm(x, x, w, w, 1e-5)
				sum.Release()
				return y
			},
			"sum and rms norm": func() *T {
				sum, y := tensor.AddRMSNorm(x, x, w, 1e-5)
				y.Release()
				return sum
			},
			"rotary": func() *T { return tensor.Rotary(tensor.HeadsOf(x, 2), 4, 2, 3, 2, turn, turn, at) },
			"attention": func() *T {
				h := tensor.HeadsOf(x, 2)
				return tensor.Attention(tensor.AttentionArgs{Q: h, K: h, V: h, QueryRows: 4, KeyRows: 4, NumHeads: 2, KVHeads: 2,
					HeadDim: 3, Scale: 1, Segments: []kernels.Segment{kernels.Causal(0, 4)}})
			},
			"log probs":   func() *T { return tensor.LogProbs(x, x, at, at) },
			"segment sum": func() *T { return tensor.SegmentSum(w, []int32{0, 2, 6}) },
			"swiglu":      func() *T { return tensor.SwiGLU(x, x) },
			"embedding":   func() *T { return tensor.Embedding(x, at) },
			"checkpoint":  func() *T { return tensor.Checkpoint(x, func(x *T) *T { return x.Exp().Exp() }) },
			"clone":       func() *T { _ = x.String(); _ = x.Float32s(); return x.Clone() },
		} {
			start := live(dev)
			fn().Release()
			if live(dev) != start {
				t.Errorf("%s (composed %v): %d bytes live, %d before", name, composed, live(dev), start)
			}
			y := fn()
			y.Backward(tensor.Zeros(dev, dtype.Float64, y.Shape()...).Keep())
			x.ZeroGrad()
			w.ZeroGrad()
			held := int64(8 * 2 * y.Len()) // the result and its gradient
			if name == "index" {           // a view of x
				held /= 2
			}
			if live(dev) != start+held {
				t.Errorf("%s (composed %v): %d bytes live after backward, want %d", name, composed, live(dev), start+held)
			}
			y.Release()
		}
		for name, fn := range map[string]func(){
			"embedding": func() { tensor.Embedding(x, ids(x, 9)) },
			"rotary":    func() { tensor.Rotary(tensor.HeadsOf(x, 2), 4, 2, 3, 2, turn, turn, ids(x, 0, 1, 2, 9)) },
			"log probs": func() { tensor.LogProbs(x, x, at, ids(x, 0, 1, 2, 9)) },
		} {
			before := live(dev)
			if tensor.Try(fn) == nil {
				t.Errorf("%s: an index out of range was accepted", name)
			}
			if got := live(dev) - before; got > 16 { // the indices themselves
				t.Errorf("%s (composed %v): a failed call left %d bytes", name, composed, got)
			}
		}
	}
}

// TestFrozenOperandsSaveLess checks that an operand is kept only for the sake of
// another that wants a gradient.
func TestFrozenOperandsSaveLess(t *testing.T) {
	dev := refDevice()
	frozen := tensor.Full(dev, dtype.Float64, 1, 4, 4)
	trained := tensor.Full(dev, dtype.Float64, 1, 4, 4).SetRequiresGrad(true)
	for name, fn := range map[string]func(x *T) *T{
		"linear": func(x *T) *T { return tensor.Linear(x, frozen, nil) },
		"conv1d": func(x *T) *T { return tensor.Conv1D(x, frozen, nil) },
		"matmul": func(x *T) *T { return x.Reshape(1, 4, 4).MatMul(frozen.Reshape(1, 4, 4)) },
		"mul":    func(x *T) *T { return x.Mul(frozen) },
		"div":    func(x *T) *T { return x.Div(frozen) },
	} {
		dev.Scope(func() *T {
			before := live(dev)
			y := dev.Scope(func() *T { return fn(trained.AddScalar(1)) })
			if held := live(dev) - before; held != 8*16 {
				t.Errorf("%s: %d bytes held, want the result's %d", name, held, 8*16)
			}
			y.Sum().Backward(nil)
			trained.ZeroGrad()
			return nil
		})
	}
}

// TestIntermediatesAreFreed measures a chain of operations: what forward saved
// must go during backward, not after it.
func TestIntermediatesAreFreed(t *testing.T) {
	const n, size = 32, 8 * 1000
	dev := refDevice()
	x := tensor.Zeros(dev, dtype.Float64, 1000).SetRequiresGrad(true)
	start := live(dev)
	var half int64
	chain := func(x *T) *T {
		for i := range n {
			if i == n/2 {
				x = tensor.Hook(x, func() { half = live(dev) - start })
			}
			x = x.Tanh()
		}
		return x
	}
	dev.Scope(func() *T {
		y := dev.Scope(func() *T { return chain(x) })
		if saved := live(dev) - start; saved != n*size {
			t.Errorf("forward holds %d bytes, want %d", saved, n*size)
		}
		dev.Backend().ResetPeak()
		y.Backward(tensor.Full(dev, dtype.Float64, 1, 1000))
		if peak := dev.MemoryStats().PeakBytes - start; peak > (n+3)*size {
			t.Errorf("backward peaked at %d bytes, want at most %d", peak, (n+3)*size)
		}
		return nil
	})
	if half > (n/2+4)*size {
		t.Errorf("half way %d bytes were held, want at most %d", half, (n/2+4)*size)
	}
	if got := live(dev) - start; got != size { // x's gradient
		t.Errorf("%d bytes held at the end, want %d", got, size)
	}
	x.ZeroGrad()

	const blocks = 4
	half = 0
	dev.Scope(func() *T {
		y := x
		for range blocks {
			y = tensor.Checkpoint(y, chain)
		}
		if saved := live(dev) - start; saved != blocks*size {
			t.Errorf("checkpoints hold %d bytes, want %d", saved, blocks*size)
		}
		dev.Backend().ResetPeak()
		y.Backward(tensor.Full(dev, dtype.Float64, 1, 1000))
		if peak := dev.MemoryStats().PeakBytes - start; peak > (blocks+n+6)*size {
			t.Errorf("checkpointed backward peaked at %d bytes, want at most %d", peak, (blocks+n+6)*size)
		}
		if half > (n/2+8)*size { // the last hook to run is the first block's
			t.Errorf("half way through a block %d bytes were held, want at most %d", half, (n/2+8)*size)
		}
		return nil
	})
}

// TestOutOfMemory makes memory run out at every allocation of a training step
// in turn: each time the step fails with an error, gives everything back and
// leaves the device usable.
func TestOutOfMemory(t *testing.T) {
	for name, b := range backends(t) {
		t.Run(name, func(t *testing.T) {
			defer b.Close()
			dev := tensor.OpenOn(b)
			w := tensor.Full(dev, dtype.Float32, 0.5, 8, 8).SetRequiresGrad(true)
			token := tensor.FromInt32(dev, []int32{0, 3, 2, 1})
			step := func() error {
				return tensor.Try(func() {
					dev.Scope(func() *T {
						h := tensor.Checkpoint(tensor.Embedding(w, token), func(x *T) *T { return tensor.Linear(x.GELU(), w, nil) })
						v := tensor.HeadsOf(h, 2)
						h = tensor.Attention(tensor.AttentionArgs{Q: v, K: v, V: v, QueryRows: 4, KeyRows: 4, NumHeads: 2, KVHeads: 2,
							HeadDim: 4, Scale: 0.5, Segments: []kernels.Segment{kernels.Causal(0, 4)}})
						tensor.LogProbs(h, w, token, token).Mean().Backward(nil)
						return nil
					})
				})
			}
			start := live(dev)
			if err := step(); err != nil {
				t.Fatal(err)
			}
			want := w.Grad().Float64s()
			w.ZeroGrad()
			failures := 0
			for extra := int64(1); ; extra += 32 {
				b.SetLimit(start + extra)
				err := step()
				b.SetLimit(0)
				if err == nil {
					break
				}
				failures++
				var misuse *tensor.Error
				if !errors.As(err, &misuse) {
					t.Fatalf("error is %T", err)
				}
				if w.ZeroGrad(); live(dev) != start {
					t.Fatalf("with %d bytes to spare: %v; %d bytes live, %d before", extra, err, live(dev), start)
				}
			}
			if failures < 10 {
				t.Errorf("memory ran out only %d times", failures)
			}
			for i, g := range w.Grad().Float64s() {
				if g != want[i] {
					t.Fatalf("element %d of the gradient is %g, %g without shortage", i, g, want[i])
				}
			}
			err := tensor.Try(func() { b.SetLimit(1); tensor.Zeros(dev, dtype.Float32, 1000) })
			if !errors.Is(err, tensor.ErrOutOfMemory) {
				t.Errorf("error %v, want ErrOutOfMemory", err)
			}
		})
	}
}
