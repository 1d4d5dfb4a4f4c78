package emulate_test

import (
	"strings"
	"testing"
	"unsafe"

	"dpolab/kernels/cuda/internal/emulate"
)

// run compiles text, launches one kernel of it and returns the error.
func run(t *testing.T, source, kernel string, grid [3]int, threads, shared int, args unsafe.Pointer) error {
	t.Helper()
	so, log, err := emulate.Compile(t.TempDir(), "cell", source)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	lib, err := emulate.Open(so)
	if err != nil {
		t.Fatal(err)
	}
	return lib.Launch(kernel, grid, threads, shared, args)
}

var held [][]float32

// heap makes memory that stays where it is while only its address is known.
func heap(n int) []float32 {
	held = append(held, make([]float32, n))
	return held[len(held)-1]
}

func TestOrdinaryParameters(t *testing.T) {
	out := heap(130)
	args := struct {
		out   uintptr
		n     int32
		scale float64
		last  int8
	}{uintptr(unsafe.Pointer(&out[0])), 130, 0.5, 3}
	err := run(t, `
extern "C" __global__ void scaled(float *out, int n, double scale, char last) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) out[i] = i * scale + last;
}`, "scaled", [3]int{3, 1, 1}, 64, 0, unsafe.Pointer(&args))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range out {
		if want := float32(i)/2 + 3; v != want {
			t.Fatalf("element %d is %g, want %g", i, v, want)
		}
	}
}

// TestWarpSum has lanes and warps exchange values through every means there is.
func TestWarpSum(t *testing.T) {
	out := heap(128)
	args := uintptr(unsafe.Pointer(&out[0]))
	err := run(t, `
extern "C" __global__ void sums(float *out) {
	__shared__ float parts[4];
	float v = threadIdx.x;
	for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
	if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
	__syncthreads();
	out[threadIdx.x] = parts[0] + parts[1] + parts[2] + parts[3];
}`, "sums", [3]int{1, 1, 1}, 128, 0, unsafe.Pointer(&args))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range out {
		if v != 127*128/2 {
			t.Fatalf("thread %d has %g", i, v)
		}
	}
}

// TestMistakes runs kernels that a GPU would hang on or get wrong.
func TestMistakes(t *testing.T) {
	out := heap(64)
	args := uintptr(unsafe.Pointer(&out[0]))
	for _, c := range []struct{ name, source, want string }{
		{"left behind", `if (threadIdx.x < 40) return; __syncthreads(); out[0] = 1;`, "left behind"},
		{"different barriers", `if (threadIdx.x < 32) __syncthreads(); else __syncthreads();`, "different barriers"},
		{"part of a warp", `if (threadIdx.x < 5) out[0] = __shfl_xor_sync(0xffffffffu, 1.0f, 1); else __syncthreads();`, "not all lanes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := run(t, `extern "C" __global__ void wrong(float *out) {`+c.source+`}`, "wrong", [3]int{2, 1, 1}, 64, 0, unsafe.Pointer(&args))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "wrong: block") {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
	if err := run(t, `extern "C" __global__ void fine(float *out) {}`, "fine", [3]int{1, 1, 1}, 2048, 0, unsafe.Pointer(&args)); err == nil {
		t.Error("2048 threads in a block")
	}
}

func TestCompilerErrors(t *testing.T) {
	_, log, err := emulate.Compile(t.TempDir(), "cell", "extern \"C\" __global__ void bad(float *x) {\n\tx[0] = nothing;\n}")
	if err == nil || !strings.Contains(log, "cell:2:") || !strings.Contains(log, "nothing") {
		t.Errorf("error %v, log %q: want line 2 and the name", err, log)
	}
}
