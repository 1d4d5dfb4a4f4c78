//go:build cuda

package cuda

import (
	"math"
	"testing"
	"time"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// TestProfile files work by kernel and shape, and finds the time in which the
// device had nothing to do.
func TestProfile(t *testing.T) {
	b := gpu(t, 0)
	array := func(n int) kernels.Array {
		return kernels.Array{Data: hold(t, b, 4*n), DType: dtype.Float32, Len: n}
	}
	x, y := array(64*64), array(64*64)
	b.Fill(x, 1)
	if err := b.StartProfile(); err != nil {
		t.Fatal(err)
	}
	if b.StartProfile() == nil {
		t.Error("two profiles at once")
	}
	product := kernels.GemmArgs{M: 64, N: 32, K: 64, TransB: true, A: x, B: x, C: y, LDA: 64, LDB: 64, LDC: 64, Alpha: 1}
	b.Gemm(&product)
	b.Fill(x, 2)
	b.Synchronize()
	const pause = 20 * time.Millisecond
	time.Sleep(pause)
	b.Gemm(&product)
	b.SumSquares([]kernels.Array{x})
	p, err := b.StopProfile()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]kernels.Work{}
	total := 0.0
	for _, w := range p.Work {
		found[w.Family+" "+w.Name] = w
		total += w.Seconds
	}
	if g := found["gemm 64×32×64 NT float32→float32"]; g.Count != 2 || g.Flops != 2*2*64*32*64 {
		t.Errorf("products %+v in %+v", g, p.Work)
	}
	if found["elementwise fill"].Count != 1 || found["reduce sum_squares"].Count != 1 {
		t.Errorf("launches %+v", p.Work)
	}
	if math.Abs(p.Busy-total) > 1e-9*total || !(p.Span-p.Busy >= pause.Seconds()) { // summed in another order
		t.Errorf("busy %g of %g s, with a pause of %s", p.Busy, p.Span, pause)
	}
	if _, err := b.StopProfile(); err == nil {
		t.Error("the profile ended twice")
	}
}
