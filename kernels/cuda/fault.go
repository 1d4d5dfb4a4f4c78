package cuda

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"dpolab/kernels"
)

// fault is what a kernel reports when it finds an index out of range. It lies
// in host memory that the device can write, so reading it costs nothing. The
// kernel that claims Set first fills the rest:
//
//	if (atomicCAS(&fault->set, 0, 1) == 0) { fault->op = ...; ... }
type fault struct {
	Set      int32
	Op       int32 // a number that faultOp gave
	Index    int32
	Position int32
	Limit    int32
}

var faultOps = []string{"kernel"}

// faultOp gives an operation the number that its kernel reports.
func faultOp(name string) int32 {
	faultOps = append(faultOps, name)
	return int32(len(faultOps) - 1)
}

func (b *Backend) openFaults() error {
	p, err := b.gpu.AllocHost(int64(unsafe.Sizeof(fault{})))
	if err != nil {
		return err
	}
	*(*fault)(p) = fault{}
	b.faults = (*fault)(p)
	return nil
}

func (b *Backend) closeFaults() error {
	if b.faults == nil {
		return nil
	}
	err := b.gpu.FreeHost(unsafe.Pointer(b.faults))
	b.faults = nil
	return err
}

// raiseFault panics with what a kernel has reported. The stream is idle.
func (b *Backend) raiseFault() {
	if atomic.LoadInt32(&b.faults.Set) == 0 {
		return
	}
	f := *b.faults
	*b.faults = fault{}
	op := faultOps[0]
	if f.Op > 0 && int(f.Op) < len(faultOps) {
		op = faultOps[f.Op]
	}
	panic(&kernels.Error{Op: op, Err: fmt.Errorf("index %d at position %d, want 0 to %d", f.Index, f.Position, f.Limit-1)})
}
