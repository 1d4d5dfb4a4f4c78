package cpu_test

import (
	"strings"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/kerneltest"
)

// TestConformance runs the whole suite on every tier this processor has.
func TestConformance(t *testing.T) {
	for _, tier := range cpu.Tiers() {
		t.Run(tier, func(t *testing.T) {
			kerneltest.Run(t, func(threads int) kernels.Backend {
				b, err := cpu.NewTier(device.Device{}, threads, tier)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
}

// TestBF16Modes runs the suite's products in each way that the processor can
// compute those of bfloat16.
func TestBF16Modes(t *testing.T) {
	able := false
	for _, mode := range []string{"native", "widen"} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv("DPOLAB_BF16", mode)
			b, err := cpu.New(device.Device{}, 1)
			if mode == "native" && err != nil {
				if !strings.Contains(err.Error(), "AVX512_BF16") {
					t.Errorf("error %q does not name what is missing", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.Describe(), mode) || !strings.Contains(b.Describe(), "DPOLAB_BF16") {
				t.Errorf("%q does not say that products are %s and why", b.Describe(), mode)
			}
			b.Close()
			able = able || mode == "native"
			kerneltest.RunCases(t, []string{"gemm", "log_prob", "attention"}, func(threads int) kernels.Backend {
				b, err := cpu.New(device.Device{}, threads)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
	t.Run("unknown", func(t *testing.T) {
		t.Setenv("DPOLAB_BF16", "fast")
		if _, err := cpu.New(device.Device{}, 1); err == nil || !strings.Contains(err.Error(), `"fast"`) {
			t.Errorf("error %v, want one that names the unknown mode", err)
		}
	})
	t.Logf("AVX512_BF16: %t", able)
}

// TestReuse: a freed block serves requests down to half its size, so that
// batches of ever other lengths settle on blocks they share.
func TestReuse(t *testing.T) {
	b, err := cpu.New(device.Device{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, size := range []int{100 << 10, 3 << 20} { // of the system's small pages, and of its large ones
		p, err := b.Alloc(size)
		if err != nil {
			t.Fatal(err)
		}
		b.Free(p)
		for _, c := range []struct {
			asked  int
			reuses bool
		}{{size, true}, {size/2 + size/8, true}, {size / 4, false}} {
			before := b.MemoryStats()
			q, err := b.Alloc(c.asked)
			if err != nil {
				t.Fatal(err)
			}
			after := b.MemoryStats()
			if reused := after.SystemAllocs == before.SystemAllocs; reused != c.reuses {
				t.Errorf("%d bytes after freeing %d: reused %t, want %t", c.asked, size, reused, c.reuses)
			}
			if got := after.LiveBytes - before.LiveBytes; got != int64(c.asked) {
				t.Errorf("%d bytes asked, %d more live", c.asked, got)
			}
			b.Free(q)
		}
		b.EmptyCache()
	}
}
