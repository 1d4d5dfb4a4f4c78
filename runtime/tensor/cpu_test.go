package tensor_test

import (
	"fmt"
	"math"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

func newCPU(t *testing.T) *cpu.Backend {
	t.Helper()
	b, err := cpu.New(device.Device{Type: device.CPU}, 2)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run computes a case on dev from leaves of type dt, whose values are those of
// a float64 reference rounded to round, and returns its result and gradients.
func (c gradientCase) run(dev *tensor.Device, dt, round dtype.DType) [][]float64 {
	ref := refDevice()
	var in []*T
	for i, s := range c.shapes {
		values := input(ref, float64(2*i+1), s...).To(round)
		var leaf *T
		if dt == dtype.Float64 {
			leaf = tensor.FromFloat64(dev, values.To(dtype.Float64).Float64s(), s...)
		} else {
			leaf = tensor.FromFloat32(dev, values.Float32s(), s...).To(dt)
		}
		in = append(in, leaf.Detach().Keep().SetRequiresGrad(true))
	}
	var out [][]float64
	dev.Scope(func() *T {
		y := c.fn(in)
		out = append(out, y.Float64s())
		y.Backward(tensor.FromFloat32(dev, input(ref, 0.3, y.Shape()...).Float32s()).Reshape(y.Shape()...))
		return nil
	})
	for _, x := range in {
		g := make([]float64, x.Len())
		if x.Grad() != nil {
			g = x.Grad().Float64s()
		}
		out = append(out, g)
		x.Release()
	}
	return out
}

// TestOnCPU compares every operation and its gradients on the CPU backend, with
// its fused kernels and without, with the float64 reference. Errors are
// measured against the largest element.
func TestOnCPU(t *testing.T) {
	for _, composed := range []bool{false, true} {
		for dt, tolerance := range map[dtype.DType]float64{dtype.Float32: 2e-5, dtype.BFloat16: 3e-2, dtype.Float16: 4e-3} {
			t.Run(fmt.Sprintf("%s composed=%v", dt, composed), func(t *testing.T) {
				b := newCPU(t)
				defer b.Close()
				dev := tensor.OpenOn(b)
				if composed {
					dev = tensor.OpenOn(required{b})
				}
				for _, c := range gradientCases() {
					var got [][]float64
					live := b.MemoryStats().LiveBytes
					dev.Scope(func() *T { got = c.run(dev, dt, dt); return nil })
					if now := b.MemoryStats().LiveBytes; now != live {
						t.Errorf("%s: %d bytes live before, %d after", c.name, live, now)
					}
					compare(t, c.name, got, c.run(refDevice(), dtype.Float64, dt), tolerance)
				}
			})
		}
	}
}

func compare(t *testing.T, name string, got, want [][]float64, tolerance float64) {
	t.Helper()
	for k := range want {
		what := "result"
		if k > 0 {
			what = fmt.Sprintf("gradient %d", k-1)
		}
		if len(got[k]) != len(want[k]) {
			t.Errorf("%s: %s has %d elements, want %d", name, what, len(got[k]), len(want[k]))
			continue
		}
		size := 1e-3
		for _, v := range want[k] {
			size = math.Max(size, math.Abs(v))
		}
		for i := range want[k] {
			if !(math.Abs(got[k][i]-want[k][i]) <= tolerance*size) {
				t.Errorf("%s: %s, element %d: %g, want %g", name, what, i, got[k][i], want[k][i])
				break
			}
		}
	}
}

// TestEmpty runs operations on no rows at all, as a rank with nothing to do
// has them: gradients must come out zero, not undefined.
func TestEmpty(t *testing.T) {
	b := newCPU(t)
	defer b.Close()
	for name, dev := range map[string]*tensor.Device{"ref": refDevice(), "cpu": tensor.OpenOn(b), "cpu composed": tensor.OpenOn(required{b})} {
		weight := tensor.Full(dev, dtype.Float32, 1, 4, 4).SetRequiresGrad(true)
		scale := tensor.Full(dev, dtype.Float32, 1, 4).SetRequiresGrad(true)
		none := tensor.FromInt32(dev, []int32{}, 0)
		h := tensor.Embedding(weight, none)
		h = tensor.RMSNorm(tensor.LayerNorm(tensor.Linear(h, weight, scale), scale, scale, 1e-5), scale, 1e-5)
		sum, h := tensor.AddLayerNorm(h, h, scale, scale, 1e-5)
		_, h = tensor.AddRMSNorm(sum, h, scale, 1e-5)
		h = tensor.Rotary(tensor.HeadsOf(h, 2), 0, 2, 2, 2, tensor.Zeros(dev, dtype.Float32, 3, 1), tensor.Zeros(dev, dtype.Float32, 3, 1), none)
		v := tensor.HeadsOf(h, 2)
		h = tensor.Attention(tensor.AttentionArgs{Q: v, K: v, V: v, NumHeads: 2, KVHeads: 2, HeadDim: 2, Scale: 1,
			Segments: []kernels.Segment{kernels.Causal(0, 0)}})
		y := tensor.LogProbs(tensor.SwiGLU(h, h), weight, none, none)
		if s := tensor.SegmentSum(y, []int32{0, 0, 0}).Float64s(); s[0] != 0 || s[1] != 0 {
			t.Errorf("%s: sums of nothing: %v", name, s)
		}
		y.Sum().Backward(nil)
		for _, leaf := range []*T{weight, scale} {
			for _, g := range leaf.Grad().Float64s() {
				if g != 0 {
					t.Errorf("%s: the gradient of nothing is %g", name, g)
					break
				}
			}
		}
	}
}
