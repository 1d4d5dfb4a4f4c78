package tensor_test

import (
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// apart takes the sum and the norm as two operations, and adds up gradients by
// a third: what AddRMSNorm is measured against.
type apart struct{ *cpu.Backend }

func (b apart) AddRMSNorm(sum, y, rstd, x, r, weight kernels.Array, rows, cols int, eps float64) {
	b.Binary(kernels.Add, sum, x, r, []int{x.Len}, []int{1}, []int{1})
	b.RMSNorm(y, rstd, sum, weight, rows, cols, eps)
}

func (b apart) RMSNormGrad(dx, dweight, residual, dy, x, weight, rstd kernels.Array, rows, cols int) {
	if residual.IsNil() {
		b.Backend.RMSNormGrad(dx, dweight, residual, dy, x, weight, rstd, rows, cols)
		return
	}
	p, err := b.Alloc(dx.Bytes())
	if err != nil {
		panic(err)
	}
	defer b.Free(p)
	alone := kernels.Array{Data: p, DType: dx.DType, Len: dx.Len}
	b.Backend.RMSNormGrad(alone, dweight, kernels.Array{}, dy, x, weight, rstd, rows, cols)
	b.Binary(kernels.Add, dx, residual, alone, []int{dx.Len}, []int{1}, []int{1})
}

// BenchmarkResidual is the elementwise part of eight blocks of a Llama of 768
// columns over 2048 tokens, forward and backward: sums and norms, fused and
// not. device-allocs are what a pass asks of the backend's allocator.
func BenchmarkResidual(b *testing.B) {
	const tokens, width, blocks = 2048, 768, 8
	for _, dt := range []dtype.DType{dtype.Float32, dtype.BFloat16} {
		for _, fused := range []bool{true, false} {
			name := dt.String() + "/apart"
			if fused {
				name = dt.String() + "/fused"
			}
			b.Run(name, func(b *testing.B) {
				backend, err := cpu.New(device.Device{}, 1)
				if err != nil {
					b.Fatal(err)
				}
				defer backend.Close()
				dev := tensor.OpenOn(backend)
				if !fused {
					dev = tensor.OpenOn(apart{backend})
				}
				x := tensor.Full(dev, dtype.Float32, 0.5, tokens, width).To(dt).Detach().Keep().SetRequiresGrad(true)
				w := tensor.Full(dev, dtype.Float32, 1, width).To(dt).Detach().Keep().SetRequiresGrad(true)
				dy := tensor.Full(dev, dt, 1, tokens, width).Keep()
				pass := func() {
					dev.Scope(func() *T {
						h := x.MulScalar(1)
						for range blocks {
							y := tensor.RMSNorm(h, w, 1e-5)
							h, y = tensor.AddRMSNorm(h, y, w, 1e-5)
							h = h.Add(y)
						}
						h.Backward(dy)
						return nil
					})
					x.ZeroGrad()
					w.ZeroGrad()
				}
				pass()
				before := backend.MemoryStats().Allocs
				b.ReportAllocs()
				b.SetBytes(tokens * width * int64(dt.Size()) * blocks)
				for b.Loop() {
					pass()
				}
				b.ReportMetric(float64(backend.MemoryStats().Allocs-before)/float64(b.N), "device-allocs/op")
			})
		}
	}
}
