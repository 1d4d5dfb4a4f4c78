//go:build cuda

// Package cells tests kernels that are written in cells, in an interpreted
// session on the fake GPU, whose NVRTC compiles for the CPU.
package cells

import (
	"bytes"
	"strings"
	"testing"

	"dpolab/kernels/cuda/internal/fake"
	"dpolab/repl"
)

const source = "`" + `
extern "C" __global__ void cube(const float *x, float *y, long long n, float a) {
	long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
	if (i < n) y[i] = a * x[i] * x[i] * x[i];
}
extern "C" __global__ void cube_grad(const float *dy, const float *x, float *dx, long long n, float a) {
	long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
	if (i < n) dx[i] = dy[i] * 3 * a * x[i] * x[i];
}
extern "C" __global__ void margin(const float *c, const float *r, float *y, long long n, float beta) {
	long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
	if (i < n) y[i] = beta * (c[i] - r[i]);
}
extern "C" __global__ void margin_grad(const float *dy, const float *c, const float *r, float *dc, float *dr, long long n, float beta) {
	long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
	if (i < n) dc[i] = beta * dy[i], dr[i] = -beta * dy[i];
}` + "`"

// TestCells compiles, launches, differentiates, trains with a loss that is made
// of kernels, and says what is wrong with a text.
func TestCells(t *testing.T) {
	fake.Install(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var out bytes.Buffer
	s, err := repl.NewSession(repl.Options{Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ cell, prints, raises string }{
		{"k := dpo.CompileCUDA(" + source + ")\ncube := k.Op(\"cube\", \"cube_grad\", 2)\nx := k.Tensor([]float32{1, 2, 3}).SetRequiresGrad(true)\nfmt.Println(cube(x).Float32s())", "[2 16 54]", ""},
		{"cube(x).Sum().Backward(nil)\nfmt.Println(x.Grad().Float32s())", "[6 24 54]", ""},
		{"y := k.Tensor(make([]float32, 3))\nk.Launch(\"cube\", 3, []*dpo.Tensor{x, y}, 1)\nfmt.Println(y.Float32s())", "[1 8 27]", ""},
		{"k.LaunchGrid(\"cube\", dpo.Grid{Blocks: [3]int{1, 1, 1}, Threads: 32}, []*dpo.Tensor{x, y}, []int{2}, []float64{3})\nfmt.Println(y.Float32s())", "[3 24 27]", ""},
		{"k.Op(\"cube\", \"\", 1)(x).Sum().Item()", "36", ""},
		{"k.Op(\"square\", \"\", 1)(x)", "", "dpo.square: "},
		{"cube(x, k.Tensor([]float32{1}))", "", "dpo.cube: want float32 tensors of one size, got float32 [1]"},
		{"k.Launch(\"cube\", 3, nil)", "", "dpo.CUDAKernels.Launch: want at least one tensor, got none"},
		{"dpo.CompileCUDA(" + strings.Replace(source, "a * x[i]", "a * z[i]", 1) + ")", "", "dpo.CompileCUDA: cell.cu(4): error: "},
		{`demo := dpo.Demo()
margin := k.Op("margin", "margin_grad", 0.1)
written := func(lp dpo.LogProbs) dpo.LossOutput {
	chosen, rejected := lp.PolicyChosen.Sub(lp.ReferenceChosen), lp.PolicyRejected.Sub(lp.ReferenceRejected)
	return dpo.LossOutput{Losses: margin(chosen, rejected).LogSigmoid().Neg()}
}
losses := func(fn dpo.PreferenceLoss) (out []float64) {
	cfg := dpo.DefaultFSDPConfig()
	cfg.Devices = "cuda:0"
	train := dpo.DefaultTrainConfig()
	train.Loss, train.Optimizer, train.LR, train.WarmupSteps, train.BatchSize = fn, "AdamW", 1e-4, 0, 2
	policy := dpo.FSDP(demo.Model(), cfg)
	tr := dpo.NewTrainer(policy, nil, demo.Train, demo.Test, train)
	for range 2 {
		out = append(out, tr.Step()["loss/train"])
	}
	return out
}
a, b := losses(written), losses(dpo.DPO(0.1))
fmt.Println(len(a), math.Abs(a[0]-b[0]) < 1e-5, math.Abs(a[1]-b[1]) < 1e-5, a[0] != a[1])`, "2 true true true", ""},
	} {
		out.Reset()
		err := s.Run("cell", c.cell)
		if c.raises == "" && (err != nil || !strings.Contains(out.String(), c.prints)) || c.raises != "" && (err == nil || !strings.Contains(err.Error(), c.raises)) {
			t.Errorf("%s\nprints %q and raises %v, want %q and %q", c.cell, out.String(), err, c.prints, c.raises)
		}
	}
}
