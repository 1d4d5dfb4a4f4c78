package distributed

import (
	"fmt"
	"slices"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// localGroup is a ProcessGroup whose ranks are goroutines that can read each
// other's memory: a collective is a meeting, plain copies, and another meeting
// after which the sources may change again.
type localGroup struct {
	meeting *meeting
	rank    int
	dev     *tensor.Device
	module  string
}

func (g *localGroup) Rank() int           { return g.rank }
func (g *localGroup) Size() int           { return len(g.meeting.members) }
func (g *localGroup) Label(module string) { g.module = module }
func (g *localGroup) Overlaps() bool      { return false }

func (g *localGroup) meet(name string) {
	if err := g.meeting.wait(g.rank, of(name, g.module)); err != nil {
		g.leave(name, err)
	}
}

func (g *localGroup) leave(name string, err error) {
	panic(&Aborted{Rank: g.meeting.members[g.rank], Collective: name, Module: g.module, Err: err})
}

// enter publishes this rank's call, waits for the others and checks that all
// ranks mean the same collective. Every collective ends with another meeting,
// before which no rank may enter the next and change its call.
func (g *localGroup) enter(mine call) {
	g.meeting.calls[g.rank] = mine
	g.meet(mine.name)
	if err := g.meeting.agree(g.rank, g.meeting.calls); err != nil {
		g.leave(mine.name, err)
	}
}

// stand waits until the device stands still, so that others may read its
// memory or write what it has read. A rank by itself goes on.
func (g *localGroup) stand() {
	if g.Size() > 1 {
		g.dev.Backend().Synchronize()
	}
}

func (g *localGroup) AllGather(pieces []Piece) {
	requireDivided("all-gather", pieces, g.rank, g.meeting.members)
	requireOneType("all-gather", pieces)
	be := g.dev.Backend()
	g.stand()
	g.enter(call{name: "all-gather", pieces: pieces})
	for r, c := range g.meeting.calls {
		for i, p := range c.pieces {
			o := pieces[i].Offsets
			dst := pieces[i].Whole.Slice(o[r], o[r+1])
			if dst.Len > 0 && dst.Data != p.Part.Data {
				be.Copy(dst, p.Part)
			}
		}
	}
	g.stand()
	g.meet("all-gather")
}

func (g *localGroup) StartAllGather(pieces []Piece) *Work {
	g.AllGather(pieces)
	return done()
}

func (g *localGroup) ReduceScatter(pieces []Piece) {
	requireDivided("reduce-scatter", pieces, g.rank, g.meeting.members)
	requireSummable("reduce-scatter", pieces)
	g.stand()
	g.enter(call{name: "reduce-scatter", pieces: pieces})
	for i, p := range pieces {
		lo, hi := p.Offsets[g.rank], p.Offsets[g.rank+1]
		g.sum(p.Part, i, lo, hi)
	}
	g.stand()
	g.meet("reduce-scatter")
}

func (g *localGroup) StartReduceScatter(pieces []Piece) *Work {
	g.ReduceScatter(pieces)
	return done()
}

func (g *localGroup) StartAllReduce(arrays []kernels.Array) *Work {
	g.AllReduce(arrays)
	return done()
}

func (g *localGroup) AllReduce(arrays []kernels.Array) {
	pieces := divided(arrays, g.Size())
	requireSummable("all-reduce", pieces)
	g.stand()
	g.enter(call{name: "all-reduce", pieces: pieces})
	// Each rank sums its own run in place, then everybody copies the runs.
	for i, p := range pieces {
		lo, hi := p.Offsets[g.rank], p.Offsets[g.rank+1]
		g.sum(p.Whole.Slice(lo, hi), i, lo, hi)
	}
	g.stand()
	g.meet("all-reduce")
	for r, c := range g.meeting.calls {
		if r == g.rank {
			continue
		}
		for i, p := range c.pieces {
			lo, hi := p.Offsets[r], p.Offsets[r+1]
			if hi > lo {
				g.dev.Backend().Copy(pieces[i].Whole.Slice(lo, hi), p.Whole.Slice(lo, hi))
			}
		}
	}
	g.stand()
	g.meet("all-reduce")
}

// sum stores in dst the sum over ranks of elements [lo, hi) of array i, in
// float32 and in the order of the ranks.
func (g *localGroup) sum(dst kernels.Array, i, lo, hi int) {
	if hi == lo {
		return
	}
	be := g.dev.Backend()
	if g.Size() == 1 {
		if src := g.meeting.calls[0].pieces[i].Whole.Slice(lo, hi); src.Data != dst.Data {
			be.Copy(dst, src)
		}
		return
	}
	acc := accumulator(g.dev, hi-lo, dst.DType)
	for r, c := range g.meeting.calls {
		src := c.pieces[i].Whole.Slice(lo, hi)
		if r == 0 {
			be.Copy(acc, src)
		} else {
			be.AddScaled(acc, 1, src)
		}
	}
	be.Copy(dst, acc)
	be.Free(acc.Data)
}

func accumulator(dev *tensor.Device, n int, dt dtype.DType) kernels.Array {
	wide := dtype.Float32
	if dt == dtype.Float64 {
		wide = dt
	}
	return scratch(dev, n, wide)
}

// scratch allocates an array for the length of a collective.
func scratch(dev *tensor.Device, n int, dt dtype.DType) kernels.Array {
	p, err := dev.Backend().Alloc(n * dt.Size())
	if err != nil {
		panic(&tensor.Error{Op: "collective", Err: fmt.Errorf("%w: %v", tensor.ErrOutOfMemory, err)})
	}
	return kernels.Array{Data: p, DType: dt, Len: n}
}

func (g *localGroup) Broadcast(arrays []kernels.Array, root int) {
	requireRoot(root, g.Size())
	name := fmt.Sprintf("broadcast from %d", root)
	g.stand()
	g.enter(call{name: name, pieces: whole(arrays)})
	if g.rank != root {
		for i, p := range g.meeting.calls[root].pieces {
			g.dev.Backend().Copy(arrays[i], p.Whole)
		}
		g.stand()
	}
	g.meet(name)
}

func (g *localGroup) SumHost(values []float64) {
	const name = "sum of host values"
	g.enter(call{name: name, values: values})
	sums := make([]float64, len(values))
	for _, c := range g.meeting.calls {
		for i, v := range c.values {
			sums[i] += v
		}
	}
	g.meet(name)
	copy(values, sums)
}

func (g *localGroup) Barrier() {
	g.dev.Backend().Synchronize()
	g.enter(call{name: "barrier"})
	g.meet("barrier")
}

// divided cuts each array into one run per rank.
func divided(arrays []kernels.Array, size int) []Piece {
	pieces := make([]Piece, len(arrays))
	for i, a := range arrays {
		pieces[i] = Piece{Whole: a, Offsets: evenOffsets(a.Len, size)}
	}
	return pieces
}

func whole(arrays []kernels.Array) []Piece {
	pieces := make([]Piece, len(arrays))
	for i, a := range arrays {
		pieces[i] = Piece{Whole: a}
	}
	return pieces
}

// evenOffsets divides n elements into size runs whose lengths differ by the
// last one only, as FSDP shards rows.
func evenOffsets(n, size int) []int {
	chunk := (n + size - 1) / size
	o := make([]int, size+1)
	for r := 1; r <= size; r++ {
		o[r] = min(r*chunk, n)
	}
	return o
}

// requireDivided checks that each piece's offsets cut Whole into one run per
// rank and that Part is the run of the rank at place me.
func requireDivided(op string, pieces []Piece, me int, members []int) {
	for i, p := range pieces {
		o, n := p.Offsets, len(members)
		if len(o) != n+1 || o[0] != 0 || o[n] != p.Whole.Len || !slices.IsSorted(o) {
			panic(&tensor.Error{Op: fmt.Sprintf("%s array %d", op, i),
				Want: fmt.Sprintf("%d rising offsets from 0 to %d", n+1, p.Whole.Len), Got: fmt.Sprint(o)})
		}
		if run := o[me+1] - o[me]; p.Part.Len != run {
			panic(&tensor.Error{Op: fmt.Sprintf("%s array %d", op, i),
				Want: fmt.Sprintf("a part of %d elements on rank %d", run, members[me]), Got: fmt.Sprint(p.Part.Len)})
		}
	}
}

// requireOneType checks that parts have the type of the whole.
func requireOneType(op string, pieces []Piece) {
	for i, p := range pieces {
		if p.Part.DType != p.Whole.DType {
			panic(&tensor.Error{Op: fmt.Sprintf("%s array %d", op, i), Want: "a part of type " + p.Whole.DType.String(), Got: p.Part.DType.String()})
		}
	}
}

// requireSummable checks that arrays can be summed in float32.
func requireSummable(op string, pieces []Piece) {
	for i, p := range pieces {
		if !p.Whole.DType.IsFloat() {
			panic(&tensor.Error{Op: fmt.Sprintf("%s array %d", op, i), Want: "a floating type", Got: p.Whole.DType.String()})
		}
	}
}

func requireRoot(root, size int) {
	if root < 0 || root >= size {
		panic(&tensor.Error{Op: "broadcast", Want: fmt.Sprintf("a root from 0 to %d", size-1), Got: fmt.Sprint(root)})
	}
}
