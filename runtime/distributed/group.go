// Package distributed runs one computation on several ranks inside one process
// and lets the ranks exchange tensors.
//
// # Ranks
//
// A [World] owns one goroutine per rank, locked to an operating-system thread,
// each with a [tensor.Device] of its own. [World.Run] executes a function on
// every rank and waits; between runs the ranks keep their models and memory,
// which is what lets a notebook wrap a model over all devices and go on in the
// next cell:
//
//	w, err := distributed.NewWorld(devices, 0)
//	err = w.Run(func(r *distributed.Rank) error {
//		... r.Dev, r.Group.AllReduce(...) ...
//	})
//
// CPU ranks ("cpu:4") are real ranks with memory and collectives of their own,
// so everything distributed can be tested without a GPU.
//
// # Collectives
//
// A [ProcessGroup] works on raw device memory. Every rank of a group must call
// the same collectives in the same order with the same sizes; a call that does
// not match is reported with both ranks' views of it, not waited for, even if a
// rank has returned or waits elsewhere. Sums are taken in float32 in the order
// of the ranks and rounded once, so results are the same in every run.
//
// Three kinds of groups stand behind the interface, chosen by where the ranks
// are:
//
//   - ranks of the CPU copy each other's memory while both stand still;
//   - ranks that share one GPU ("cuda:0,0") do the same on the device, beside
//     the computation, ordered by events;
//   - ranks with a GPU each, in one process or many, use NCCL. Its sums are
//     taken in an order and a type of its own: the same in every run on the
//     same machines, but not the very bits of the other two.
//
// A started collective ([ProcessGroup.StartAllGather]) is waited for by the
// device, not by the host, where the device has a queue for it. On the CPU it
// is complete when it has been started: the cores that would copy are those
// that compute, so there is nothing to overlap it with.
//
// # Errors
//
// When a rank fails, ranks that wait for it are released with an [*Aborted]
// that names the failing rank; [World.Run] returns the first failure, and the
// world can be used again. Collectives panic rather than return errors because
// they run inside backward passes.
package distributed

import (
	"fmt"

	"dpolab/kernels"
)

// Piece is one array that a collective moves. Whole is the complete array;
// Offsets (Size+1 element positions) divide it into one run per rank, of any
// lengths, and Part holds this rank's run.
type Piece struct {
	Whole, Part kernels.Array
	Offsets     []int
}

// ProcessGroup is one rank's end of a group of ranks that act together.
type ProcessGroup interface {
	Rank() int
	Size() int
	// Label names the module that the next collectives are for, in errors.
	Label(module string)
	// Overlaps reports whether a started collective runs beside what the rank
	// computes meanwhile.
	Overlaps() bool
	// StartAllGather, StartReduceScatter and StartAllReduce are AllGather,
	// ReduceScatter and AllReduce whose result is there after Wait. Until then
	// the arrays' memory must not be written, freed or read, but by what is
	// handed to kernels.Transfer: collectives run there, behind everything that
	// either queue was given before, and what follows them there sees their
	// result.
	StartAllGather(pieces []Piece) *Work
	StartReduceScatter(pieces []Piece) *Work
	StartAllReduce(arrays []kernels.Array) *Work
	// AllGather fills each piece's Whole from every rank's Part, converting
	// nothing: both have one type.
	AllGather(pieces []Piece)
	// ReduceScatter stores in each piece's Part the sum over ranks of this
	// rank's run of Whole, converted to Part's type.
	ReduceScatter(pieces []Piece)
	// AllReduce replaces each array by its sum over all ranks.
	AllReduce(arrays []kernels.Array)
	// Broadcast copies each array from root, a place in the group, to every rank.
	Broadcast(arrays []kernels.Array, root int)
	// SumHost replaces each host value by its sum over all ranks.
	SumHost(values []float64)
	// Barrier waits until every rank has called it.
	Barrier()
}

// Work is a collective that has been started.
type Work struct{ wait func() }

// Wait makes everything the rank computes from now on come after the
// collective. On a device with queues it returns at once. Waiting again does
// nothing.
func (w *Work) Wait() {
	if fn := w.wait; fn != nil {
		w.wait = nil
		fn()
	}
}

// done is a collective that was complete when it was started.
func done() *Work { return &Work{} }

// NewWork returns a collective that fn completes, for groups that wrap others.
func NewWork(fn func()) *Work { return &Work{wait: fn} }

// Aborted is what a collective panics with when another rank failed, or when
// the ranks' calls do not match.
type Aborted struct {
	Rank       int    // the rank that reports
	Collective string // what it was waiting in
	Module     string // what that was for, empty if nobody said
	Err        error  // why
}

func (e *Aborted) Error() string {
	return fmt.Sprintf("rank %d: %s aborted: %v", e.Rank, of(e.Collective, e.Module), e.Err)
}

// of is "all-gather of GPTNeoXLayer 3".
func of(collective, module string) string {
	if module == "" {
		return collective
	}
	return collective + " of " + module
}

func (e *Aborted) Unwrap() error { return e.Err }
