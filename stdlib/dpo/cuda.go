package dpo

import (
	"errors"
	"strings"
	"sync"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// CUDAKernels is CUDA C that was compiled from a string, for every GPU that its
// kernels are launched on.
type CUDAKernels struct {
	source   string
	mu       sync.Mutex
	programs map[*tensor.Device]*tensor.Program
}

// Grid is how a kernel is launched: blocks, threads a block, and bytes of
// dynamic shared memory.
type Grid = tensor.Grid

// firstGPU is the session's own share of cuda:0, for CUDAKernels.Tensor.
var firstGPU = sync.OnceValues(func() (*tensor.Device, error) {
	return tensor.Open(device.Device{Type: device.CUDA}, 0)
})

// CompileCUDA compiles CUDA C with NVRTC, which must be found (dpolab devices
// says). Kernels are declared extern "C" __global__; no header is there to
// include. An error is the compiler's first, with the line of the text:
//
//	k := dpo.CompileCUDA(`
//	extern "C" __global__ void cube(const float *x, float *y, long long n, float a) {
//		long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
//		if (i < n) y[i] = a * x[i] * x[i] * x[i];
//	}
//	extern "C" __global__ void cube_grad(const float *dy, const float *x, float *dx, long long n, float a) {
//		long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
//		if (i < n) dx[i] = dy[i] * 3 * a * x[i] * x[i];
//	}`)
//	cube := k.Op("cube", "cube_grad", 2)
//	x := k.Tensor([]float32{1, 2, 3}).SetRequiresGrad(true)
//	cube(x).Sum().Backward(nil) // x.Grad() is 6 24 54
//
// The operation can be used wherever tensors are on a GPU: in a loss, too, of a
// model that trains there. What was compiled is kept on disk.
func CompileCUDA(source string) *CUDAKernels {
	const op = "CompileCUDA"
	dev, err := firstGPU()
	check(op, err)
	k := &CUDAKernels{source: source, programs: map[*tensor.Device]*tensor.Program{}}
	k.on(op, dev)
	return k
}

// on is the text compiled for a device.
func (k *CUDAKernels) on(op string, dev *tensor.Device) *tensor.Program {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.programs[dev]; p != nil {
		return p
	}
	p, err := dev.CompileCUDA("cell.cu", k.source)
	var e *tensor.Error
	if errors.As(err, &e) && e.Err != nil {
		err = errors.New(firstError(e.Err.Error()))
	}
	check(op, err)
	k.programs[dev] = p
	return p
}

// firstError puts the first line that says error before all others.
func firstError(log string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "error") {
			return strings.TrimSpace(line) + "\n" + log
		}
	}
	return log
}

// Tensor is float32 values on the first GPU, in one axis unless a shape is
// given. It lives until its Release.
func (k *CUDAKernels) Tensor(values []float32, shape ...int) *Tensor {
	dev, err := firstGPU()
	check("CUDAKernels.Tensor", err)
	var t *Tensor
	try("CUDAKernels.Tensor", func() { t = tensor.FromFloat32(dev, values, shape...) })
	return t
}

// Launch queues a kernel with a thread for each of n elements. Its parameters
// are a pointer for each tensor, then n as a long long, then a float for each
// scalar. Nothing checks the kernel against that, nor what it reads and writes:
// one that leaves its tensors spoils the GPU for the rest of the process.
func (k *CUDAKernels) Launch(kernel string, n int, tensors []*Tensor, scalars ...float64) {
	k.LaunchGrid(kernel, tensor.Line(n), tensors, []int{n}, scalars)
}

// LaunchGrid queues a kernel on a grid of one's own. Its parameters are a pointer
// for each tensor, a long long for each int, a float for each float64.
func (k *CUDAKernels) LaunchGrid(kernel string, g Grid, tensors []*Tensor, ints []int, floats []float64) {
	const op = "CUDAKernels.Launch"
	if len(tensors) == 0 {
		refuse(op, "at least one tensor", "none")
	}
	p := k.on(op, tensors[0].Device())
	try(op, func() { p.Launch(kernel, g, tensors, ints, floats) })
}

// Op makes a differentiable operation, element by element, of a pair of kernels.
// For inputs x, ... of one shape, float32,
//
//	forward(const float *x, ..., float *y, long long n, float scalars...)
//	backward(const float *dy, const float *x, ..., float *dx, ..., long long n, float scalars...)
//
// y has their shape; the gradients begin as zeros. An empty backward makes an
// operation that is not differentiable: its result needs no gradient.
func (k *CUDAKernels) Op(forward, backward string, scalars ...float64) func(inputs ...*Tensor) *Tensor {
	const op = "CUDAKernels.Op"
	if forward == "" {
		refuse(op, "the name of a kernel", "none")
	}
	return func(inputs ...*Tensor) (y *Tensor) {
		if len(inputs) == 0 {
			refuse(forward, "at least one tensor", "none")
		}
		x := inputs[0]
		for _, in := range inputs {
			if in.DType() != dtype.Float32 || in.Len() != x.Len() {
				refuse(forward, "float32 tensors of one size", "%s %v", in.DType(), in.Shape())
			}
		}
		p := k.on(forward, x.Device())
		launch := func(kernel string, tensors ...*Tensor) {
			p.Launch(kernel, tensor.Line(x.Len()), tensors, []int{x.Len()}, scalars)
		}
		try(forward, func() {
			if backward == "" {
				y = tensor.Empty(x.Device(), x.DType(), x.Shape()...)
				launch(forward, append(append([]*Tensor{}, inputs...), y)...)
				return
			}
			y = tensor.Custom(forward, inputs, x.Shape(), func(y *tensor.Tensor, in []*tensor.Tensor) {
				launch(forward, append(append([]*Tensor{}, in...), y)...)
			}, func(grads []*tensor.Tensor, dy *tensor.Tensor, in []*tensor.Tensor) {
				launch(backward, append(append([]*Tensor{dy}, in...), grads...)...)
			})
		})
		return y
	}
}
