package distributed

import (
	"errors"
	"fmt"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/kernels/nccl"
)

// ncclGroup is a ProcessGroup of ranks with a GPU each, in this process or in
// several. Collectives run on each rank's second queue. Members that live in
// this process meet before each, as those of a localGroup do, so that a call
// that does not match is reported and not handed to NCCL, which would hang.
type ncclGroup struct {
	localGroup       // of the members in this process
	owner      *Rank // this end's
	members    []int // all, numbered in the world
	place      int   // the owner's among them
	queues     kernels.Queues
}

func (g *ncclGroup) Rank() int      { return g.place }
func (g *ncclGroup) Size() int      { return len(g.members) }
func (g *ncclGroup) Overlaps() bool { return true }

// here reports whether all members live in this process.
func (g *ncclGroup) here() bool { return len(g.meeting.members) == len(g.members) }

func (g *ncclGroup) leave(name string, err error) {
	if errors.Is(err, nccl.ErrAborted) { // what has led to that
		if cause := g.meeting.lobby.failure(); cause != nil {
			err = cause
		}
	}
	panic(&Aborted{Rank: g.owner.Rank, Collective: name, Module: g.module, Err: err})
}

// start hands a collective to the second queue, behind what the rank has
// computed so far. pieces are for comparison with the other members'.
func (g *ncclGroup) start(name string, pieces []Piece, ops []nccl.Op) *Work {
	comm := g.connect(name)
	g.owner.note(of(name, g.module))
	calls, err := g.meeting.exchange(g.localGroup.rank, call{name: name, pieces: pieces}, of(name, g.module))
	if err == nil {
		err = g.meeting.agree(g.localGroup.rank, calls)
	}
	if err != nil {
		g.leave(name, err)
	}
	ready := g.queues.Record(kernels.Compute)
	g.queues.Wait(kernels.Transfer, ready)
	ready.Release()
	if err := comm.Run(ops, g.queues.Handle(kernels.Transfer)); err != nil {
		g.leave(name, err)
	}
	end := share(g.queues.Record(kernels.Transfer), 2)
	g.owner.depart(of(name, g.module), end)
	return NewWork(func() {
		g.queues.Wait(kernels.Compute, end.Event)
		end.release()
	})
}

// even reports whether offsets cut an array into runs of one length, which is
// what NCCL's own all-gather and reduce-scatter take.
func even(offsets []int) bool {
	for i := 2; i < len(offsets); i++ {
		if offsets[i]-offsets[i-1] != offsets[1]-offsets[0] {
			return false
		}
	}
	return true
}

func (g *ncclGroup) AllGather(pieces []Piece) { g.StartAllGather(pieces).Wait() }

func (g *ncclGroup) StartAllGather(pieces []Piece) *Work {
	const name = "all-gather"
	requireDivided(name, pieces, g.place, g.members)
	requireOneType(name, pieces)
	var ops []nccl.Op
	for _, p := range pieces {
		if p.Whole.Len == 0 {
			continue
		}
		if even(p.Offsets) {
			ops = append(ops, nccl.Op{Kind: nccl.AllGather, Send: p.Part, Recv: p.Whole})
			continue
		}
		for r := range g.members { // each sends its run to all
			run := p.Whole.Slice(p.Offsets[r], p.Offsets[r+1])
			send := run
			if r == g.place {
				send = p.Part
			}
			if run.Len > 0 {
				ops = append(ops, nccl.Op{Kind: nccl.Broadcast, Send: send, Recv: run, Root: r})
			}
		}
	}
	return g.start(name, pieces, ops)
}

func (g *ncclGroup) ReduceScatter(pieces []Piece) { g.StartReduceScatter(pieces).Wait() }

func (g *ncclGroup) StartReduceScatter(pieces []Piece) *Work {
	const name = "reduce-scatter"
	requireDivided(name, pieces, g.place, g.members)
	requireSummable(name, pieces)
	var ops []nccl.Op
	var converted [][2]kernels.Array // a part and the sum to be stored there
	for _, p := range pieces {
		if p.Whole.Len == 0 {
			continue
		}
		part := p.Part
		if part.DType != p.Whole.DType {
			part = scratch(g.dev, part.Len, p.Whole.DType)
			converted = append(converted, [2]kernels.Array{p.Part, part})
		}
		if even(p.Offsets) {
			ops = append(ops, nccl.Op{Kind: nccl.ReduceScatter, Send: p.Whole, Recv: part})
			continue
		}
		for r := range g.members {
			run := p.Whole.Slice(p.Offsets[r], p.Offsets[r+1])
			recv := run
			if r == g.place {
				recv = part
			}
			if run.Len > 0 {
				ops = append(ops, nccl.Op{Kind: nccl.Reduce, Send: run, Recv: recv, Root: r})
			}
		}
	}
	w := g.start(name, pieces, ops)
	if converted == nil {
		return w
	}
	return NewWork(func() {
		w.Wait()
		for _, c := range converted {
			g.dev.Backend().Copy(c[0], c[1])
			g.dev.Backend().Free(c[1].Data)
		}
	})
}

func (g *ncclGroup) AllReduce(arrays []kernels.Array) { g.StartAllReduce(arrays).Wait() }

func (g *ncclGroup) StartAllReduce(arrays []kernels.Array) *Work {
	const name = "all-reduce"
	pieces := whole(arrays)
	requireSummable(name, pieces)
	var ops []nccl.Op
	for _, a := range arrays {
		if a.Len > 0 {
			ops = append(ops, nccl.Op{Kind: nccl.AllReduce, Send: a, Recv: a})
		}
	}
	return g.start(name, pieces, ops)
}

func (g *ncclGroup) Broadcast(arrays []kernels.Array, root int) {
	requireRoot(root, g.Size())
	var ops []nccl.Op
	for _, a := range arrays {
		if a.Len > 0 {
			ops = append(ops, nccl.Op{Kind: nccl.Broadcast, Send: a, Recv: a, Root: root})
		}
	}
	g.start(fmt.Sprintf("broadcast from %d", root), whole(arrays), ops).Wait()
}

// SumHost gathers the values of all ranks and adds them on the host, so that
// the order is that of the ranks.
func (g *ncclGroup) SumHost(values []float64) {
	if g.here() {
		g.localGroup.SumHost(values)
		return
	}
	const name = "sum of host values"
	n := len(values)
	if n == 0 {
		return
	}
	mine, all := scratch(g.dev, n, dtype.Float64), scratch(g.dev, n*g.Size(), dtype.Float64)
	defer g.dev.Backend().Free(mine.Data)
	defer g.dev.Backend().Free(all.Data)
	g.dev.Backend().Upload(mine.Data, bytesOf(values))
	pieces := whole([]kernels.Array{all})
	g.start(name, pieces, []nccl.Op{{Kind: nccl.AllGather, Send: mine, Recv: all}}).Wait()
	gathered := make([]float64, n*g.Size())
	g.dev.Backend().Download(bytesOf(gathered), all.Data)
	if err := g.meeting.lobby.failure(); err != nil { // what came is not the ranks' values
		g.leave(name, err)
	}
	clear(values)
	for i, v := range gathered {
		values[i%n] += v
	}
}

func bytesOf(v []float64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 8*len(v))
}

func (g *ncclGroup) Barrier() {
	if g.here() {
		g.localGroup.Barrier()
		return
	}
	g.dev.Backend().Synchronize()
	g.SumHost([]float64{0})
}
