package distributed

import (
	"fmt"
	"slices"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// call is one rank's part in a collective.
type call struct {
	name   string
	pieces []Piece
	values []float64 // on the host
}

// localGroup is a ProcessGroup whose ranks are goroutines that can read each
// other's memory: a collective is a meeting, plain copies, and another meeting
// after which the sources may change again.
type localGroup struct {
	meeting *meeting
	rank    int
	dev     *tensor.Device
}

func (g *localGroup) Rank() int { return g.rank }
func (g *localGroup) Size() int { return len(g.meeting.members) }

func (g *localGroup) meet(name string) {
	if err := g.meeting.wait(g.rank, name); err != nil {
		g.leave(name, err)
	}
}

func (g *localGroup) leave(name string, err error) {
	panic(&Aborted{Rank: g.meeting.members[g.rank], Collective: name, Err: err})
}

// enter publishes this rank's call, waits for the others and checks that all
// ranks mean the same collective. Every collective ends with another meeting,
// before which no rank may enter the next and change its call.
func (g *localGroup) enter(mine call) {
	g.dev.Backend().Synchronize()
	g.meeting.calls[g.rank] = mine
	g.meet(mine.name)
	for r, theirs := range g.meeting.calls {
		if err := compare(mine, theirs); err != nil {
			members := g.meeting.members
			err = fmt.Errorf("ranks %d and %d disagree: %w", members[g.rank], members[r], err)
			g.meeting.lobby.fail(err)
			g.leave(mine.name, err)
		}
	}
}

func compare(a, b call) error {
	if a.name != b.name {
		return fmt.Errorf("%s against %s", a.name, b.name)
	}
	if len(a.pieces) != len(b.pieces) {
		return fmt.Errorf("%s of %d arrays against %d", a.name, len(a.pieces), len(b.pieces))
	}
	if len(a.values) != len(b.values) {
		return fmt.Errorf("%s: %d values against %d", a.name, len(a.values), len(b.values))
	}
	for i, p := range a.pieces {
		q := b.pieces[i]
		if p.Whole.Len != q.Whole.Len || p.Whole.DType != q.Whole.DType {
			return fmt.Errorf("%s array %d: %d × %s against %d × %s", a.name, i,
				p.Whole.Len, p.Whole.DType, q.Whole.Len, q.Whole.DType)
		}
		if !slices.Equal(p.Offsets, q.Offsets) {
			return fmt.Errorf("%s array %d: divided at %v against %v", a.name, i, p.Offsets, q.Offsets)
		}
	}
	return nil
}

// requireDivided checks that each piece's offsets cut Whole into one run per
// rank and that Part is this rank's run.
func (g *localGroup) requireDivided(op string, pieces []Piece) {
	for i, p := range pieces {
		o, n := p.Offsets, g.Size()
		if len(o) != n+1 || o[0] != 0 || o[n] != p.Whole.Len || !slices.IsSorted(o) {
			panic(&tensor.Error{Op: fmt.Sprintf("%s array %d", op, i),
				Want: fmt.Sprintf("%d rising offsets from 0 to %d", n+1, p.Whole.Len), Got: fmt.Sprint(o)})
		}
		if run := o[g.rank+1] - o[g.rank]; p.Part.Len != run {
			panic(&tensor.Error{Op: fmt.Sprintf("%s array %d", op, i),
				Want: fmt.Sprintf("a part of %d elements on rank %d", run, g.meeting.members[g.rank]), Got: fmt.Sprint(p.Part.Len)})
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

func (g *localGroup) AllGather(pieces []Piece) {
	g.requireDivided("all-gather", pieces)
	for i, p := range pieces {
		if p.Part.DType != p.Whole.DType {
			panic(&tensor.Error{Op: fmt.Sprintf("all-gather array %d", i), Want: "a part of type " + p.Whole.DType.String(), Got: p.Part.DType.String()})
		}
	}
	g.enter(call{name: "all-gather", pieces: pieces})
	be := g.dev.Backend()
	for r, c := range g.meeting.calls {
		for i, p := range c.pieces {
			o := pieces[i].Offsets
			dst := pieces[i].Whole.Slice(o[r], o[r+1])
			if dst.Len > 0 && dst.Data != p.Part.Data {
				be.Copy(dst, p.Part)
			}
		}
	}
	be.Synchronize()
	g.meet("all-gather")
}

func (g *localGroup) ReduceScatter(pieces []Piece) {
	g.requireDivided("reduce-scatter", pieces)
	requireSummable("reduce-scatter", pieces)
	g.enter(call{name: "reduce-scatter", pieces: pieces})
	for i, p := range pieces {
		lo, hi := p.Offsets[g.rank], p.Offsets[g.rank+1]
		g.sum(p.Part, i, lo, hi)
	}
	g.dev.Backend().Synchronize()
	g.meet("reduce-scatter")
}

func (g *localGroup) AllReduce(arrays []kernels.Array) {
	n := g.Size()
	pieces := make([]Piece, len(arrays))
	for i, a := range arrays {
		pieces[i] = Piece{Whole: a, Offsets: evenOffsets(a.Len, n)}
	}
	requireSummable("all-reduce", pieces)
	g.enter(call{name: "all-reduce", pieces: pieces})
	// Each rank sums its own run in place, then everybody copies the runs.
	for i, p := range pieces {
		lo, hi := p.Offsets[g.rank], p.Offsets[g.rank+1]
		g.sum(p.Whole.Slice(lo, hi), i, lo, hi)
	}
	g.dev.Backend().Synchronize()
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
	g.dev.Backend().Synchronize()
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
	acc := g.accumulator(hi-lo, dst.DType)
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

func (g *localGroup) accumulator(n int, dt dtype.DType) kernels.Array {
	wide := dtype.Float32
	if dt == dtype.Float64 {
		wide = dt
	}
	p, err := g.dev.Backend().Alloc(n * wide.Size())
	if err != nil {
		panic(&tensor.Error{Op: "collective", Err: fmt.Errorf("%w: %v", tensor.ErrOutOfMemory, err)})
	}
	return kernels.Array{Data: p, DType: wide, Len: n}
}

func (g *localGroup) Broadcast(arrays []kernels.Array, root int) {
	if root < 0 || root >= g.Size() {
		panic(&tensor.Error{Op: "broadcast", Want: fmt.Sprintf("a root from 0 to %d", g.Size()-1), Got: fmt.Sprint(root)})
	}
	name := fmt.Sprintf("broadcast from %d", root)
	pieces := make([]Piece, len(arrays))
	for i, a := range arrays {
		pieces[i] = Piece{Whole: a}
	}
	g.enter(call{name: name, pieces: pieces})
	if g.rank != root {
		for i, p := range g.meeting.calls[root].pieces {
			g.dev.Backend().Copy(arrays[i], p.Whole)
		}
		g.dev.Backend().Synchronize()
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
	g.enter(call{name: "barrier"})
	g.meet("barrier")
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
