package kerneltest

import (
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// testMemory checks alignment, statistics, reuse and exhaustion.
func testMemory(t *testing.T, b kernels.Backend) {
	defer b.Close()
	var held []unsafe.Pointer
	total := int64(0)
	for _, n := range []int{0, 1, 63, 64, 4097, 1 << 20} {
		p, err := b.Alloc(n)
		if err != nil || p == nil {
			t.Fatalf("alloc of %d: %v", n, err)
		}
		if b.Device().Type.String() != "cuda" && uintptr(p)%64 != 0 {
			t.Errorf("alloc of %d is not aligned to 64", n)
		}
		held = append(held, p)
		total += int64(n)
	}
	s := b.MemoryStats()
	if s.LiveBytes != total || s.PeakBytes != total || s.Allocs != 6 || s.ReservedBytes < total {
		t.Errorf("statistics %+v after allocating %d bytes in 6 calls", s, total)
	}
	for _, p := range held {
		b.Free(p)
	}
	if s := b.MemoryStats(); s.LiveBytes != 0 || s.PeakBytes != total {
		t.Errorf("statistics %+v after freeing all", s)
	}
	b.ResetPeak()
	if s := b.MemoryStats(); s.PeakBytes != 0 {
		t.Errorf("peak %d after reset", s.PeakBytes)
	}
	if l, ok := b.(interface{ SetLimit(int64) }); ok {
		l.SetLimit(1000)
		if _, err := b.Alloc(1001); err == nil {
			t.Error("alloc beyond the limit succeeded")
		}
		p, err := b.Alloc(1000)
		if err != nil {
			t.Errorf("alloc within the limit: %v", err)
		} else {
			b.Free(p)
		}
		l.SetLimit(0)
	}
	b.EmptyCache()
}

// testMisuse checks that wrong calls panic with a kernels.Error.
func testMisuse(t *testing.T, b kernels.Backend) {
	defer b.Close()
	x := newBench(b)
	table, out := x.Normal(dtype.Float32, 12), x.Empty(dtype.Float32, 3)
	for name, fn := range map[string]func(){
		"gather beyond the end":   func() { b.Gather(out, table, x.Values(dtype.Int32, 4), 3) },
		"gather before the start": func() { b.Gather(out, table, x.Values(dtype.Int32, -1), 3) },
		"scatter beyond the end":  func() { b.ScatterAdd(table, out, x.Values(dtype.Int32, 4), 3) },
		"free of foreign memory":  func() { b.Free(unsafe.Add(table.Data, 4)) },
	} {
		func() {
			defer func() {
				if _, ok := recover().(*kernels.Error); !ok {
					t.Errorf("%s: no kernels.Error", name)
				}
			}()
			fn()
		}()
	}
}
