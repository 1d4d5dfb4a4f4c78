//go:build cuda

package cuda

import (
	"bytes"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// TestQueues hands work to the second queue, which the fake driver does as late
// as the rules allow: what waits sees it, and what does not wait would not.
func TestQueues(t *testing.T) {
	t.Setenv("FAKE_CUDA_LAZY", "1")
	a, b := gpu(t, 0), gpu(t, 0)
	const n = 4096
	host, err := a.AllocPinned(n)
	if err != nil {
		t.Fatal(err)
	}
	defer a.FreePinned(host)
	bytesOf := unsafe.Slice((*byte)(host), n)
	for i := range bytesOf {
		bytesOf[i] = byte(i * 7)
	}
	want := bytes.Clone(bytesOf)
	on := func(x *Backend) kernels.Array {
		return kernels.Array{Data: hold(t, x, n), DType: dtype.Float32, Len: n / 4}
	}
	first, second := on(a), on(b)

	a.UploadPinned(first.Data, bytesOf)
	sent := a.Record(kernels.Transfer)
	b.Wait(kernels.Transfer, sent) // of another instance
	b.CopyPeer(second, first)
	copied := b.Record(kernels.Transfer)
	sent.Release() // the wait stays in force
	b.Wait(kernels.Compute, copied)
	got := make([]byte, n)
	b.Download(got, second.Data)
	if !bytes.Equal(got, want) {
		t.Error("the second queue's copy was not waited for")
	}
	if !copied.Done() {
		t.Error("an event whose work was waited for is not done")
	}
	copied.Release()
	if len(b.events.free) != 1 || b.Record(kernels.Compute).(*point).event == nil || len(b.events.free) != 0 {
		t.Error("a released event is not used again")
	}

	clear(bytesOf)
	b.DownloadPinned(bytesOf, second.Data)
	done := b.Record(kernels.Transfer)
	if !onGPU && bytes.Equal(bytesOf, want) {
		t.Fatal("the fake driver works before it is waited for, so this test shows nothing")
	}
	if !done.Done() || !bytes.Equal(bytesOf, want) {
		t.Error("not downloaded when the event is done")
	}
	done.Release()
	if !raises(func() { b.Wait(kernels.Compute, done) }) {
		t.Error("a wait for a released event")
	}
}

func raises(fn func()) (raised bool) {
	defer func() { _, raised = recover().(*kernels.Error) }()
	fn()
	return false
}
