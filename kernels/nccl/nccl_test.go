package nccl_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/internal/find"
	"dpolab/kernels/nccl"
	"dpolab/kernels/nccl/nccltest"
	"dpolab/kernels/queuetest"
)

// onGPU has these tests use this machine's NCCL and GPUs: make test-cuda sets
// it.
var onGPU = os.Getenv("DPOLAB_TEST_CUDA") != ""

func TestMain(m *testing.M) {
	remove := func() {}
	if !onGPU {
		remove = nccltest.Use()
	}
	code := m.Run()
	remove()
	os.Exit(code)
}

// rank is one rank's device and communicator.
type rank struct {
	*nccl.Comm
	dev queued
}

// queued is a device whose streams NCCL may use.
type queued interface {
	kernels.Backend
	kernels.Queues
}

func open(i int) (queued, error) {
	d := device.Device{Type: device.CUDA, Index: i}
	if onGPU {
		return cuda.New(d)
	}
	return queuetest.New(d, 1, 0)
}

// join makes a communicator of n ranks, each on a thread of its own.
func join(t *testing.T, n int) []rank {
	t.Helper()
	lib, err := nccl.Open()
	if err != nil {
		t.Fatal(err)
	}
	id, err := lib.UniqueID()
	if err != nil {
		t.Fatal(err)
	}
	ranks := make([]rank, n)
	errs := each(ranks, func(i int, _ rank) error {
		dev, err := open(i)
		if err != nil {
			return err
		}
		t.Cleanup(func() { dev.Close() })
		dev.Synchronize() // this thread's device
		c, err := lib.Join(id, n, i, nil)
		ranks[i] = rank{c, dev}
		return err
	})
	for i, r := range ranks {
		if r.Comm == nil {
			t.Fatalf("rank %d did not join: %v", i, errs[i])
		}
		if r.Rank() != i || r.Size() != n {
			t.Errorf("rank %d is %d of %d", i, r.Rank(), r.Size())
		}
	}
	return ranks
}

func each(ranks []rank, fn func(i int, r rank) error) []error {
	errs := make([]error, len(ranks))
	var wg sync.WaitGroup
	for i := range ranks {
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			errs[i] = fn(i, ranks[i])
		}()
	}
	wg.Wait()
	return errs
}

// array places values on a rank's device.
func (r rank) array(values ...float32) kernels.Array {
	p, err := r.dev.Alloc(4 * len(values))
	if err != nil {
		panic(err)
	}
	r.dev.Upload(p, bytesOf(values))
	return kernels.Array{Data: p, DType: dtype.Float32, Len: len(values)}
}

func (r rank) run(ops ...nccl.Op) error {
	r.dev.Synchronize() // uploads, on the other stream
	if err := r.Comm.Run(ops, r.dev.Handle(kernels.Transfer)); err != nil {
		return err
	}
	r.dev.Synchronize()
	return r.Err()
}

// values is what an array holds.
func (r rank) values(a kernels.Array) []float32 {
	out := make([]float32, a.Len)
	r.dev.Download(bytesOf(out), a.Data)
	return out
}

func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// TestCollectives on one rank and several; on GPUs, on one and on all.
func TestCollectives(t *testing.T) {
	sizes := []int{1, 2, 3}
	if onGPU {
		all, err := cuda.Devices()
		if err != nil {
			t.Fatal(err)
		}
		if found := find.Search(find.NCCL); len(found.Paths) == 0 {
			t.Skip(found.Missing())
		}
		if sizes = sizes[:1]; len(all) > 1 {
			sizes = append(sizes, len(all))
		}
	}
	for _, n := range sizes {
		ranks := join(t, n)
		for i, err := range each(ranks, func(i int, r rank) error {
			x := float32(i + 1)
			gathered, scattered := r.array(make([]float32, 2*n)...), r.array(0)
			summed, sent := r.array(x), r.array(x)
			var multiples []float32
			for j := range n {
				multiples = append(multiples, x*float32(j+1))
			}
			long := r.array(multiples...)
			rooted, reduced := r.array(x), r.array(-1)
			err := r.run(
				nccl.Op{Kind: nccl.AllGather, Send: r.array(x, -x), Recv: gathered},
				nccl.Op{Kind: nccl.ReduceScatter, Send: long, Recv: scattered},
				nccl.Op{Kind: nccl.AllReduce, Send: summed, Recv: summed},
				nccl.Op{Kind: nccl.Broadcast, Send: rooted, Recv: rooted, Root: n - 1},
				nccl.Op{Kind: nccl.Reduce, Send: sent, Recv: reduced, Root: n - 1})
			if err != nil {
				return err
			}
			all, want := float32(n*(n+1)/2), []float32{}
			for j := range n {
				want = append(want, float32(j+1), -float32(j+1))
			}
			last := float32(-1)
			if i == n-1 {
				last = all
			}
			got := fmt.Sprint(r.values(gathered), r.values(scattered), r.values(summed), r.values(rooted), r.values(reduced))
			if w := fmt.Sprint(want, []float32{all * x}, []float32{all}, []float32{float32(n)}, []float32{last}); got != w {
				return fmt.Errorf("got %s, want %s", got, w)
			}
			return r.Close()
		}) {
			if err != nil {
				t.Errorf("rank %d of %d: %v", i, n, err)
			}
		}
	}
}

// TestAbortEndsAHang: a rank that hangs keeps the other's stream waiting until
// both are aborted.
func TestAbortEndsAHang(t *testing.T) {
	ranks := join(t, 2)
	t.Setenv("NCCLTEST_HANG", "1:1")
	done := make(chan []error)
	go func() {
		done <- each(ranks, func(_ int, r rank) error {
			x := r.array(1)
			return r.run(nccl.Op{Kind: nccl.AllReduce, Send: x, Recv: x})
		})
	}()
	select {
	case errs := <-done:
		t.Fatalf("nobody hangs: %v", errs)
	case <-time.After(50 * time.Millisecond):
	}
	for _, r := range ranks {
		r.Abort()
	}
	for i, err := range <-done {
		if !errors.Is(err, nccl.ErrAborted) {
			t.Errorf("rank %d: %v", i, err)
		}
		if err := ranks[i].run(nccl.Op{Kind: nccl.AllReduce, Send: ranks[i].array(1), Recv: ranks[i].array(1)}); !errors.Is(err, nccl.ErrAborted) {
			t.Errorf("a call after the abort: %v", err)
		}
	}
}

// TestFailureIsSeen without waiting for it.
func TestFailureIsSeen(t *testing.T) {
	ranks := join(t, 2)
	t.Setenv("NCCLTEST_FAIL", "0:1")
	for _, r := range ranks {
		x := r.array(1)
		if err := r.Run([]nccl.Op{{Kind: nccl.AllReduce, Send: x, Recv: x}}, r.dev.Handle(kernels.Transfer)); err != nil && r.Rank() != 0 {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for ranks[0].Err() == nil && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	var failed *nccl.Error
	if err := ranks[0].Err(); !errors.As(err, &failed) || failed.Code != 6 || !strings.Contains(err.Error(), "remote process exited") {
		t.Errorf("rank 0: %v", err)
	}
	for _, r := range ranks {
		r.Abort()
	}
}

func TestJoinCanBeStopped(t *testing.T) {
	lib, err := nccl.Open()
	if err != nil {
		t.Fatal(err)
	}
	id, err := lib.UniqueID()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	time.AfterFunc(20*time.Millisecond, func() { close(stop) })
	if _, err := lib.Join(id, 2, 0, stop); !errors.Is(err, nccl.ErrAborted) {
		t.Errorf("the only one of two ranks: %v", err)
	}
}

func TestMisuse(t *testing.T) {
	r := join(t, 1)[0]
	for _, op := range []nccl.Op{
		{Kind: nccl.AllReduce, Send: r.array(1), Recv: r.array(1, 2)},
		{Kind: nccl.AllGather, Send: r.array(1, 2), Recv: r.array(1)},
		{Kind: nccl.AllReduce, Send: r.array(1), Recv: kernels.Array{Data: r.array(1).Data, DType: dtype.BFloat16, Len: 1}},
	} {
		if err := r.run(op); err == nil || !strings.Contains(err.Error(), "on 1 ranks") {
			t.Errorf("%v: %v", op, err)
		}
	}
	lib, _ := nccl.Open()
	if lib.Version() != "2.28.9" || !strings.HasSuffix(lib.Path(), "libnccl.so.2") {
		t.Errorf("version %s in %s", lib.Version(), lib.Path())
	}
}
