package train

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"dpolab/kernels/device"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/loss"
)

// BenchmarkStep shows what a warm training step asks of Go's heap and of the
// system: run it with -benchmem. Allocations follow the number of operations,
// not the number of tokens or the size of the weights; heap-growth is what is
// left on Go's heap after a collection, system-allocs the blocks that the
// backend asked the system for, both per step.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name  string
		scale int // of the responses' lengths
	}{{"short", 1}, {"four times as long", 4}} {
		b.Run(c.name, func(b *testing.B) { benchmarkStep(b, c.scale) })
	}
}

func benchmarkStep(b *testing.B, scale int) {
	w, err := distributed.NewWorld([]device.Device{{}}, 1)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	s := DefaultSettings()
	s.Loss = loss.DPO(0.1, 0)
	const model = "../models/testdata/gpt2"
	t, err := New(w, s, Inputs{PolicyDir: model, ReferenceDir: model}, Events{})
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	tokens := func(n int) []int32 {
		out := make([]int32, n)
		for i := range out {
			out[i] = int32(rng.IntN(61))
		}
		return out
	}
	batch := make([]data.Example, 8)
	for i := range batch {
		batch[i] = data.Example{Prompt: tokens(6), Chosen: tokens(4 * scale), Rejected: tokens(3 * scale)}
	}
	step := func() {
		if _, err := t.Step(batch); err != nil {
			b.Fatal(err)
		}
	}
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for range 3 {
		step()
	}
	heapBefore, before := heap(), w.Device(0).MemoryStats().SystemAllocs
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		step()
	}
	b.StopTimer()
	n := float64(b.N)
	b.ReportMetric(float64(w.Device(0).MemoryStats().SystemAllocs-before)/n, "system-allocs/op")
	b.ReportMetric((heap()-heapBefore)/n, "heap-growth-B/op")
}
