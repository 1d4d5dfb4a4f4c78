package tensor

import (
	native "encoding/binary"
	"math"

	"dpolab/kernels"
)

// Program is CUDA C that was compiled while the program runs.
type Program struct {
	dev     *Device
	program kernels.Program
}

// Grid is how a kernel is launched: blocks, threads a block, and bytes of
// dynamic shared memory.
type Grid struct {
	Blocks          [3]int
	Threads, Shared int
}

// Line is a grid of 256 threads a block with one thread for each of n elements.
func Line(n int) Grid { return Grid{Blocks: [3]int{(n + 255) / 256, 1, 1}, Threads: 256} }

// CompileCUDA compiles CUDA C for the device, which must be a GPU, with NVRTC,
// which must be found (dpolab devices says). Kernels are declared extern "C"
// __global__. An error is the compiler's own, with lines of the text, which it
// calls by name.
func (d *Device) CompileCUDA(name, source string) (*Program, error) {
	c, ok := d.backend.(kernels.Compiler)
	if !ok {
		return nil, &Error{Op: "compile " + name, Want: "a GPU", Got: d.String()}
	}
	p, err := c.Compile(name, source)
	if err != nil {
		return nil, &Error{Op: "compile " + name, Err: err}
	}
	return &Program{d, p}, nil
}

// Launch queues a kernel. Its parameters are a pointer for each tensor, then a
// long long for each int, then a float for each float64:
//
//	extern "C" __global__ void scale(const float *x, float *y, long long n, float a)
//	p.Launch("scale", tensor.Line(n), []*tensor.Tensor{x, y}, []int{n}, []float64{a})
//
// Nothing checks the kernel against that, nor what it reads and writes.
func (p *Program) Launch(kernel string, g Grid, tensors []*Tensor, ints []int, floats []float64) {
	var params []byte
	for _, t := range tensors {
		if t.dev != p.dev {
			fail(kernel, "tensors on "+p.dev.String(), "one on %s", t.dev)
		}
		params = native.NativeEndian.AppendUint64(params, uint64(uintptr(t.Array().Data)))
	}
	for _, i := range ints {
		params = native.NativeEndian.AppendUint64(params, uint64(i))
	}
	for _, f := range floats {
		params = native.NativeEndian.AppendUint32(params, math.Float32bits(float32(f)))
	}
	p.program.Launch(kernel, g.Blocks, g.Threads, g.Shared, params)
}

// Custom is an operation of the caller's own: forward fills y, of the given
// shape and the first input's type, and backward fills the gradients of the
// inputs, which begin as zeros, from y's. Both usually launch a Program's
// kernels.
func Custom(name string, inputs []*Tensor, shape []int, forward func(y *Tensor, inputs []*Tensor), backward func(grads []*Tensor, dy *Tensor, inputs []*Tensor)) *Tensor {
	if len(inputs) == 0 {
		fail(name, "at least one input", "none")
	}
	for _, x := range inputs {
		requireFloat(name, x)
	}
	requireDevice(name, inputs[0], inputs[1:]...)
	dev := inputs[0].dev
	y := Empty(dev, inputs[0].DType(), shape...)
	dev.NoGrad(func() { forward(y, inputs) })
	return record(name, y, inputs, inputs, func(b *Backward, dy *Tensor) {
		saved, grads := make([]*Tensor, len(inputs)), make([]*Tensor, len(inputs))
		for i := range inputs {
			saved[i] = b.Saved(i)
			grads[i] = Zeros(dev, saved[i].DType(), saved[i].shape...)
		}
		dev.NoGrad(func() { backward(grads, dy, saved) })
		for i, g := range grads {
			b.Give(i, g)
		}
	})
}
