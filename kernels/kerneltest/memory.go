package kerneltest

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// testMemory checks alignment, statistics, contents, reuse and exhaustion.
func testMemory(t *testing.T, open func(threads int) kernels.Backend) {
	for name, fn := range map[string]func(t *testing.T, b kernels.Backend){
		"statistics": memoryStatistics, "contents": memoryContents, "reuse": memoryReuse, "limit": memoryLimit, "scratch": memoryScratch,
	} {
		t.Run(name, func(t *testing.T) {
			b := open(2)
			defer b.Close()
			fn(t, b)
		})
	}
}

func memoryStatistics(t *testing.T, b kernels.Backend) {
	if s := b.MemoryStats(); s.LiveBytes != 0 || s.PeakBytes != 0 || s.Allocs != 0 {
		t.Errorf("statistics %+v of a new instance", s)
	}
	var held []unsafe.Pointer
	total := int64(0)
	for _, n := range []int{0, 1, 63, 64, 65, 4097, 1 << 20} {
		p, err := b.Alloc(n)
		if err != nil || p == nil {
			t.Fatalf("alloc of %d: %v, %v", n, p, err)
		}
		if uintptr(p)%64 != 0 {
			t.Errorf("alloc of %d is not aligned to 64", n)
		}
		held = append(held, p)
		total += int64(n)
	}
	s := b.MemoryStats()
	if s.LiveBytes != total || s.PeakBytes != total || s.Allocs != int64(len(held)) || s.ReservedBytes < total || s.SystemAllocs > s.Allocs {
		t.Errorf("statistics %+v after allocating %d bytes in %d calls", s, total, len(held))
	}
	b.Free(held[len(held)-1])
	held = held[:len(held)-1]
	left := total - 1<<20
	if s := b.MemoryStats(); s.LiveBytes != left || s.PeakBytes != total {
		t.Errorf("statistics %+v after freeing all but %d of %d", s, left, total)
	}
	b.ResetPeak()
	if s := b.MemoryStats(); s.PeakBytes != left {
		t.Errorf("peak %d after reset, %d live", s.PeakBytes, left)
	}
	for _, p := range held {
		b.Free(p)
	}
	if s := b.MemoryStats(); s.LiveBytes != 0 || s.PeakBytes != left {
		t.Errorf("statistics %+v after freeing all, peak was %d", s, left)
	}
	b.EmptyCache()
	if s := b.MemoryStats(); s.ReservedBytes != 0 {
		t.Errorf("%d bytes reserved after emptying the cache", s.ReservedBytes)
	}
}

// memoryContents allocates and frees at random; blocks must not overlap.
func memoryContents(t *testing.T, b kernels.Backend) {
	rng := rand.New(rand.NewPCG(3, 4))
	type piece struct {
		p    unsafe.Pointer
		data []byte
	}
	var held []piece
	live := int64(0)
	check := func(i int) {
		got := make([]byte, len(held[i].data))
		b.Download(got, held[i].p)
		if !bytes.Equal(got, held[i].data) {
			t.Fatalf("a block of %d bytes was changed", len(got))
		}
	}
	for step := range 1000 {
		if len(held) > 0 && rng.IntN(5) < 2 || len(held) > 60 {
			i := rng.IntN(len(held))
			check(i)
			b.Free(held[i].p)
			live -= int64(len(held[i].data))
			held[i] = held[len(held)-1]
			held = held[:len(held)-1]
		} else {
			n := rng.IntN(1 << rng.IntN(14))
			p, err := b.Alloc(n)
			if err != nil {
				t.Fatal(err)
			}
			data := bytes.Repeat([]byte{byte(step)}, n)
			b.Upload(p, data)
			held = append(held, piece{p, data})
			live += int64(n)
		}
		if got := b.MemoryStats().LiveBytes; got != live {
			t.Fatalf("step %d: %d bytes live, want %d", step, got, live)
		}
	}
	for i := range held {
		check(i)
		b.Free(held[i].p)
	}
}

// memoryReuse repeats a round of allocations: a backend that keeps freed
// memory asks the system for nothing the second time.
func memoryReuse(t *testing.T, b kernels.Backend) {
	round := func() {
		var held []unsafe.Pointer
		for _, n := range []int{10, 100, 1000, 1000, 100000, 3} {
			p, err := b.Alloc(n)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, p)
		}
		for _, p := range held {
			b.Free(p)
		}
	}
	round()
	warm := b.MemoryStats()
	if warm.ReservedBytes == 0 {
		return // nothing is kept
	}
	round()
	if s := b.MemoryStats(); s.SystemAllocs != warm.SystemAllocs || s.ReservedBytes != warm.ReservedBytes || s.Allocs != 2*warm.Allocs {
		t.Errorf("%+v after a round, %+v after the same again", warm, s)
	}
}

// limited is a backend whose memory can be made scarce.
type limited interface{ SetLimit(bytes int64) }

func memoryLimit(t *testing.T, b kernels.Backend) {
	l, ok := b.(limited)
	if !ok {
		t.Skip("the backend's memory has no limit to set")
	}
	l.SetLimit(1000)
	p, err := b.Alloc(600)
	if err != nil {
		t.Fatalf("alloc within the limit: %v", err)
	}
	before := b.MemoryStats()
	for _, n := range []int{401, 1000, 1 << 40} {
		if _, err := b.Alloc(n); err == nil {
			t.Errorf("%d bytes beyond 600 of 1000", n)
		}
	}
	if s := b.MemoryStats(); s.LiveBytes != before.LiveBytes || s.PeakBytes != before.PeakBytes {
		t.Errorf("a refused alloc changed %+v to %+v", before, s)
	}
	q, err := b.Alloc(400)
	if err != nil {
		t.Fatalf("alloc up to the limit: %v", err)
	}
	b.Free(p)
	b.Free(q)
	l.SetLimit(0)
	if p, err = b.Alloc(5000); err != nil {
		t.Fatalf("alloc after the limit was lifted: %v", err)
	}
	b.Free(p)
}

// memoryScratch lets an operation run out of memory at every allocation it
// makes: it must panic with a kernels.Error, and keep nothing.
func memoryScratch(t *testing.T, b kernels.Backend) {
	l, ok := b.(limited)
	if !ok {
		t.Skip("the backend's memory has no limit to set")
	}
	x := newRig(t, b, "scratch", nil)
	defer x.release()
	f := dtype.Float32
	ops := map[string]func(){}
	lp := kernels.LogProbArgs{Hidden: x.Normal(f, 20*8), Weight: x.Normal(f, 30*8), Rows: x.Indices(20, 20), Labels: x.Indices(20, 30), Out: x.Empty(f, 20), LSE: x.Empty(f, 20), T: 20, D: 8, V: 30, R: 20}
	if fused, ok := b.(kernels.LogProbs); ok {
		g := &kernels.LogProbGradArgs{LogProbArgs: lp, DOut: x.Normal(f, 20), DHidden: x.Normal(f, 20*8), DWeight: x.Normal(f, 30*8)}
		fused.LogProb(&lp)
		ops["log_prob"], ops["log_prob gradient"] = func() { fused.LogProb(&lp) }, func() { fused.LogProbGrad(g) }
	}
	if fused, ok := b.(kernels.Attention); ok {
		view := func() kernels.Heads { return headLayouts[0].view(x.Normal(f, 40*2*8), 0, 2, 8) }
		a := &kernels.AttentionArgs{Q: view(), K: view(), V: view(), Out: view(), LSE: x.Empty(f, 80), QueryRows: 40, KeyRows: 40, NumHeads: 2, KVHeads: 2, HeadDim: 8, Scale: 1,
			Segments: []kernels.Segment{kernels.Causal(0, 10), kernels.After(0, 10, 10, 25), kernels.After(0, 10, 25, 40)}}
		fused.Attention(a)
		g := &kernels.AttentionGradArgs{AttentionArgs: *a, DOut: view(), DQ: view(), DK: view(), DV: view()}
		ops["attention"], ops["attention gradient"] = func() { fused.Attention(a) }, func() { fused.AttentionGrad(g) }
	}
	if fused, ok := b.(kernels.Norms); ok {
		in, w, dy, dx, dw, rstd := x.Normal(f, 800), x.Normal(f, 8), x.Normal(f, 800), x.Empty(f, 800), x.Normal(f, 8), x.Normal(f, 100)
		ops["norm gradient"] = func() { fused.RMSNormGrad(dx, dw, kernels.Array{}, dy, in, w, rstd, 100, 8) }
	}
	for _, blk := range x.blocks {
		x.own(blk.array) // what an operation that failed has stored is undefined
	}
	live := b.MemoryStats().LiveBytes
	for name, op := range ops {
		for spare := int64(1); ; spare *= 2 {
			l.SetLimit(live + spare)
			failed, stack := raised(op)
			l.SetLimit(0)
			if failed == nil {
				break // enough, or none needed
			}
			if _, ok := failed.(*kernels.Error); !ok {
				t.Fatalf("%s with %d bytes to spare: panic %v (%T), want a kernels.Error\n%s", name, spare, failed, failed, stack)
			}
			if s := b.MemoryStats(); s.LiveBytes != live {
				t.Fatalf("%s with %d bytes to spare keeps %d bytes", name, spare, s.LiveBytes-live)
			}
		}
	}
}

// testMisuse checks that wrong calls panic with a kernels.Error.
func testMisuse(t *testing.T, open func(threads int) kernels.Backend) {
	b := open(2)
	defer b.Close()
	x := newRig(t, b, "misuse", nil)
	f := dtype.Float32
	table, out := x.Normal(f, 12), x.Normal(f, 3)
	wrong := map[string]func(){
		"gather beyond the end":    func() { b.Gather(out, table, x.Values(dtype.Int32, 4), 3) },
		"gather before the start":  func() { b.Gather(out, table, x.Values(dtype.Int32, -1), 3) },
		"scatter beyond the end":   func() { b.ScatterAdd(table, out, x.Values(dtype.Int32, 4), 3) },
		"scatter before the start": func() { b.ScatterAdd(table, out, x.Values(dtype.Int32, -1), 3) },
		"free of foreign memory":   func() { b.Free(unsafe.Add(table.Data, 4)) },
		"free of freed memory": func() {
			if p, err := b.Alloc(64); err == nil {
				b.Free(p)
				b.Free(p)
			}
		},
		"type unknown": func() { b.Unary(kernels.Exp, out, kernels.Array{Data: table.Data, DType: dtype.Invalid, Len: 3}) },
	}
	if fused, ok := b.(kernels.LogProbs); ok {
		call := func(row, label float64) func() {
			return func() {
				fused.LogProb(&kernels.LogProbArgs{Hidden: table, Weight: table, Rows: x.Values(dtype.Int32, row), Labels: x.Values(dtype.Int32, label),
					Out: out.Slice(0, 1), LSE: out.Slice(1, 2), T: 4, D: 3, V: 4, R: 1})
			}
		}
		wrong["log_prob of a row beyond the end"] = call(4, 0)
		wrong["log_prob of a label beyond the end"] = call(0, 4)
		wrong["log_prob of a label before the start"] = call(0, -100)
	}
	if fused, ok := b.(kernels.Rotary); ok {
		wrong["rotary of a position beyond the table"] = func() {
			fused.Rotary(kernels.Heads{Array: out, Row: 2, Head: 2}, kernels.Heads{Array: table, Row: 2, Head: 2},
				&kernels.RotaryArgs{Rows: 1, NumHeads: 1, HeadDim: 2, Dim: 2, Cos: table, Sin: table, Positions: x.Values(dtype.Int32, 12)})
		}
	}
	for name, fn := range wrong {
		// What only a device can see, it tells when it is waited for, and may
		// have stored something by then.
		x.own(table)
		x.own(out)
		if v, stack := raised(func() { fn(); b.Synchronize() }); v == nil {
			t.Errorf("%s: no panic", name)
		} else if _, ok := v.(*kernels.Error); !ok {
			t.Errorf("%s: panic %v (%T), want a kernels.Error\n%s", name, v, v, stack)
		}
	}
	x.release()
}
