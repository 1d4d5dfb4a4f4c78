//go:build cuda

package cuda

import (
	"strings"
	"testing"

	"dpolab/kernels/dtype"
	"dpolab/kernels/internal/find"
	"dpolab/runtime/tensor"
)

const cubeSource = `extern "C" __global__ void cube(const float *x, float *y, long long n, float a) {
	long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
	if (i < n) y[i] = a * x[i] * x[i] * x[i];
}
extern "C" __global__ void cube_grad(const float *dy, const float *x, float *dx, long long n, float a) {
	long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
	if (i < n) dx[i] = dy[i] * 3 * a * x[i] * x[i];
}
`

// TestCustom makes a differentiable operation of a pair of kernels.
func TestCustom(t *testing.T) {
	b := gpu(t, 0)
	if found := find.Search(find.NVRTC); onGPU && len(found.Paths) == 0 {
		t.Skip(found.Missing())
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dev := tensor.OpenOn(b)
	p, err := dev.CompileCUDA("cell.cu", cubeSource)
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i)/100 - 5
	}
	x := tensor.FromFloat32(dev, values, n).SetRequiresGrad(true)
	y := tensor.Custom("cube", []*tensor.Tensor{x}, []int{n},
		func(y *tensor.Tensor, in []*tensor.Tensor) {
			p.Launch("cube", tensor.Line(n), []*tensor.Tensor{in[0], y}, []int{n}, []float64{2})
		},
		func(grads []*tensor.Tensor, dy *tensor.Tensor, in []*tensor.Tensor) {
			p.Launch("cube_grad", tensor.Line(n), []*tensor.Tensor{dy, in[0], grads[0]}, []int{n}, []float64{2})
		})
	y.Sum().Backward(nil)
	got, grad := y.Float32s(), x.Grad().Float32s()
	for i, v := range values {
		if got[i] != 2*v*v*v || grad[i] != 6*v*v && abs(grad[i]-6*v*v) > 1e-4*abs(6*v*v) {
			t.Fatalf("at %g: %g with gradient %g", v, got[i], grad[i])
		}
	}
	_, err = dev.CompileCUDA("cell.cu", strings.Replace(cubeSource, "a * x[i]", "a * z[i]", 1))
	if err == nil || !strings.Contains(err.Error(), "cell.cu(3)") || !strings.Contains(err.Error(), "z") {
		t.Errorf("error %v, want the compiler's, of line 3", err)
	}
	again, err := dev.CompileCUDA("cell.cu", cubeSource) // from disk
	if err != nil {
		t.Fatal(err)
	}
	if !raises(func() { again.Launch("square", tensor.Line(n), []*tensor.Tensor{x, y}, []int{n}, []float64{2}) }) {
		t.Error("a kernel that the text does not have was launched")
	}
	if y.DType() != dtype.Float32 {
		t.Error(y.DType())
	}
}

func abs(v float32) float32 { return max(v, -v) }
