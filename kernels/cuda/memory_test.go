//go:build cuda

package cuda

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/fake"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// gpu is an instance on a GPU, the fake one unless there is one, closed with
// the test.
func gpu(t *testing.T, index int) *Backend {
	t.Helper()
	if !onGPU {
		fake.Install(t)
	}
	b, err := New(device.Device{Type: device.CUDA, Index: index})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestStaging(t *testing.T) {
	b := gpu(t, 0)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 63, 64, partBytes - 1, partBytes, partBytes + 1, 9*partBytes + 17} {
		p, err := b.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		want, got := make([]byte, n), make([]byte, n)
		for i := range want {
			want[i] = byte(rng.Uint32())
		}
		sent := bytes.Clone(want)
		b.Upload(p, sent)
		clear(sent) // may change as soon as Upload returns
		b.Download(got, p)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back different", n)
		}
		b.Free(p)
	}
}

// TestNoCalls asks nothing of the driver for memory once the sizes have been
// seen, even if they vary within a bucket.
func TestNoCalls(t *testing.T) {
	b := gpu(t, 0)
	round := func(tokens int) {
		var held []unsafe.Pointer
		for _, width := range []int{2560, 7680, 10240, 4, 2560} {
			p, err := b.Alloc(tokens * width * 2)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, p)
		}
		for _, p := range held {
			b.Free(p)
		}
	}
	round(1024)
	before := b.MemoryStats()
	for _, tokens := range []int{1000, 950, 1023, 1001} {
		round(tokens)
	}
	if after := b.MemoryStats(); after.SystemAllocs != before.SystemAllocs || after.ReservedBytes != before.ReservedBytes {
		t.Errorf("%+v, then %+v for no longer batches", before, after)
	}
	b.EmptyCache()
	if s := b.MemoryStats(); s.ReservedBytes != 0 {
		t.Errorf("%d bytes reserved by an empty cache", s.ReservedBytes)
	}
}

func hold(t *testing.T, b *Backend, n int) unsafe.Pointer {
	p, err := b.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestOutOfMemory names what was asked and who holds most, and leaves an
// instance that works; memory that is cached in other sizes is no obstacle.
func TestOutOfMemory(t *testing.T) {
	b := gpu(t, 0)
	var list []unsafe.Pointer
	for range 10 { // fill the cache with what the next request cannot use
		list = append(list, hold(t, b, 40<<20))
	}
	for _, p := range list {
		b.Free(p)
	}
	free, _, err := b.gpu.MemoryInfo()
	if err != nil {
		t.Fatal(err)
	}
	large, more := int(free/4*3), int(free/8*7)
	big := hold(t, b, large)
	_, err = b.Alloc(more)
	if err == nil {
		t.Fatalf("%s and %s from a device with %s", size(int64(large)), size(int64(more)), size(free))
	}
	for _, want := range []string{"cuda:0", size(int64(more)) + " asked", size(int64(large)) + " live", "cuda.TestOutOfMemory", "memory_test.go"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	b.Free(big)
	b.Free(hold(t, b, more))
	b.EmptyCache()
}

// TestUsage counts all instances of a device together, and each device alone.
func TestUsage(t *testing.T) {
	first, second := gpu(t, 0), gpu(t, 0)
	if list, err := Devices(); err == nil && len(list) > 1 {
		gpu(t, 1)
	}
	before, elsewhere := DeviceUsage(0), DeviceUsage(1)
	p, q := hold(t, first, 1000), hold(t, second, 500)
	if got := DeviceUsage(0).LiveBytes - before.LiveBytes; got != 1500 {
		t.Errorf("%d bytes live on the device, want 1500", got)
	}
	if DeviceUsage(1) != elsewhere {
		t.Errorf("%+v on the other device", DeviceUsage(1))
	}
	first.Free(p)
	second.Free(q)
}

// TestNothingLeft closes an instance with live memory and queued work: the
// driver is given everything back.
func TestNothingLeft(t *testing.T) {
	if onGPU {
		t.Skip("only the fake driver says what is held")
	}
	b := gpu(t, 0)
	before := fake.Held()
	c, err := New(device.Device{Type: device.CUDA, Index: 0})
	if err != nil {
		t.Fatal(err)
	}
	hold(t, c, 100)
	p := hold(t, c, 30<<20)
	c.Upload(p, make([]byte, 30<<20))
	c.check("gemm", c.openProducts())
	if held := fake.Held(); held == before {
		t.Errorf("%s held with an instance and without", held)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if after := fake.Held(); after != before {
		t.Errorf("%s, and before %s", after, before)
	}
	_ = b
}

func TestDevices(t *testing.T) {
	gpu(t, 0)
	list, err := Devices()
	if err != nil || len(list) == 0 || !onGPU && len(list) != 2 {
		t.Fatalf("%v, %v: the fake driver has two", list, err)
	}
	for i, d := range list {
		if d != (device.Device{Type: device.CUDA, Index: i}) {
			t.Errorf("device %d is %s", i, d)
		}
	}
	_, err = New(device.Device{Type: device.CUDA, Index: len(list)})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint("has ", len(list))) {
		t.Errorf("cuda:%d: %v", len(list), err)
	}
}

// TestFault raises what a kernel has written.
func TestFault(t *testing.T) {
	b := gpu(t, 0)
	*b.faults = fault{Set: 1, Op: faultOp("test"), Index: 9, Position: 4, Limit: 8}
	defer func() {
		err, _ := recover().(error)
		var e *kernels.Error
		if !errors.As(err, &e) || e.Op != "test" || !strings.Contains(e.Error(), "index 9 at position 4, want 0 to 7") {
			t.Errorf("raised %v", err)
		}
		b.Synchronize() // once only
	}()
	b.Synchronize()
}

// TestTypes refuses bfloat16 on a chip from before it, and float64 on all.
func TestTypes(t *testing.T) {
	b := gpu(t, 0)
	if err := b.Supports(dtype.BFloat16); err != nil {
		t.Error(err)
	}
	if b.Supports(dtype.Float64) == nil {
		t.Error("float64 is taken")
	}
	b.info.Major, b.info.Minor = 7, 5
	if err := b.Supports(dtype.BFloat16); err == nil || !strings.Contains(err.Error(), "compute capability 7.5") || !strings.Contains(err.Error(), "8.0") {
		t.Errorf("bfloat16 on 7.5: %v", err)
	}
	if err := b.Supports(dtype.Float16); err != nil {
		t.Error(err)
	}
}
