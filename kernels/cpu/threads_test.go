package cpu_test

import (
	"syscall"
	"testing"
	"time"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// consumed is the processor time this process has used.
func consumed(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestIdleCostsNothing: workers that have nothing to do sleep. One that spins
// would use a processor's time for as long as this looks, shared with whatever
// else runs.
func TestIdleCostsNothing(t *testing.T) {
	b, err := cpu.New(device.Device{}, 8)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	product(t, b, 300)()
	time.Sleep(20 * time.Millisecond) // workers may look out for more work for a moment
	before := consumed(t)
	time.Sleep(500 * time.Millisecond)
	if used := consumed(t) - before; used > 50*time.Millisecond {
		t.Errorf("idle for half a second, the process used %v of processor time", used)
	}
}

// product returns a product of square matrices of size n.
func product(t testing.TB, b *cpu.Backend, n int) func() {
	array := func() kernels.Array {
		p, err := b.Alloc(4 * n * n)
		if err != nil {
			t.Fatal(err)
		}
		a := kernels.Array{Data: p, DType: dtype.Float32, Len: n * n}
		b.Fill(a, 1)
		return a
	}
	g := &kernels.GemmArgs{M: n, N: n, K: n, LDA: n, LDB: n, LDC: n, A: array(), B: array(), C: array(), Alpha: 1, Batch: 1}
	return func() { b.Gemm(g) }
}

// BenchmarkRanks shares the same products among ranks of several threads each.
// The time per product should not grow once ranks times threads exceed the
// processors; cpu-ns/op, the processor time, shows what waiting costs.
func BenchmarkRanks(b *testing.B) {
	for _, c := range []struct {
		name           string
		ranks, threads int
	}{{"1 rank of 1", 1, 1}, {"1 rank of 2", 1, 2}, {"2 ranks of 1", 2, 1}, {"4 ranks of 1", 4, 1}, {"2 ranks of 2", 2, 2}, {"4 ranks of 4", 4, 4}} {
		b.Run(c.name, func(b *testing.B) {
			const size, each = 256, 8
			var products []func()
			for r := range c.ranks {
				k, err := cpu.New(device.Device{Index: r}, c.threads)
				if err != nil {
					b.Fatal(err)
				}
				defer k.Close()
				products = append(products, product(b, k, size))
			}
			before := consumed(b)
			b.ResetTimer()
			for range b.N {
				done := make(chan struct{})
				for _, p := range products {
					go func() {
						for range each / c.ranks {
							p()
						}
						done <- struct{}{}
					}()
				}
				for range products {
					<-done
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(consumed(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
