package distributed

import (
	"fmt"
	"sync"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// meeting is what the ranks of one in-process group share: where they wait for
// each other, and what each brings to the current collective.
type meeting struct {
	mu      sync.Mutex
	cond    *sync.Cond
	size    int
	arrived int
	round   uint64
	err     error // set by abort; every waiter leaves
	calls   []call
	hosts   [][]float64
}

// call is one rank's part in a collective.
type call struct {
	name   string
	pieces []Piece
}

func newMeeting(size int) *meeting {
	m := &meeting{size: size, calls: make([]call, size), hosts: make([][]float64, size)}
	m.cond = sync.NewCond(&m.mu)
	return m
}

func (m *meeting) abort(err error) {
	m.mu.Lock()
	if m.err == nil {
		m.err = err
	}
	m.cond.Broadcast()
	m.mu.Unlock()
}

// reset makes the meeting usable again after every rank has left.
func (m *meeting) reset() {
	m.mu.Lock()
	m.err, m.arrived = nil, 0
	m.mu.Unlock()
}

// wait returns when all ranks have come, or with the error of an abort.
func (m *meeting) wait() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.arrived++
	if m.arrived == m.size {
		m.arrived = 0
		m.round++
		m.cond.Broadcast()
		return nil
	}
	for round := m.round; m.round == round; {
		m.cond.Wait()
		if m.round == round && m.err != nil {
			return m.err
		}
	}
	return nil
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
func (g *localGroup) Size() int { return g.meeting.size }

func (g *localGroup) meet(name string) {
	if err := g.meeting.wait(); err != nil {
		panic(&Aborted{Rank: g.rank, Collective: name, Err: err})
	}
}

// enter publishes this rank's pieces, waits for the others and checks that all
// ranks mean the same collective.
func (g *localGroup) enter(name string, pieces []Piece) {
	g.dev.Backend().Synchronize()
	g.meeting.calls[g.rank] = call{name, pieces}
	g.meet(name)
	for r, c := range g.meeting.calls {
		if err := compare(call{name, pieces}, c); err != nil {
			err = fmt.Errorf("ranks %d and %d disagree: %w", g.rank, r, err)
			g.meeting.abort(err)
			panic(&Aborted{Rank: g.rank, Collective: name, Err: err})
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
	for i, p := range a.pieces {
		if q := b.pieces[i]; p.Whole.Len != q.Whole.Len || p.Whole.DType != q.Whole.DType {
			return fmt.Errorf("%s array %d: %d × %s against %d × %s", a.name, i,
				p.Whole.Len, p.Whole.DType, q.Whole.Len, q.Whole.DType)
		}
	}
	return nil
}

func (g *localGroup) AllGather(pieces []Piece) {
	g.enter("all-gather", pieces)
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
	g.enter("reduce-scatter", pieces)
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
	g.enter("all-reduce", pieces)
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
	pieces := make([]Piece, len(arrays))
	for i, a := range arrays {
		pieces[i] = Piece{Whole: a}
	}
	g.enter("broadcast", pieces)
	if g.rank != root {
		for i, p := range g.meeting.calls[root].pieces {
			g.dev.Backend().Copy(arrays[i], p.Whole)
		}
		g.dev.Backend().Synchronize()
	}
	g.meet("broadcast")
}

func (g *localGroup) SumHost(values []float64) {
	g.meeting.hosts[g.rank] = values
	g.enter("sum of host values", nil)
	sums := make([]float64, len(values))
	for r, h := range g.meeting.hosts {
		if len(h) != len(values) {
			err := fmt.Errorf("ranks %d and %d disagree: sum of %d values against %d", g.rank, r, len(values), len(h))
			g.meeting.abort(err)
			panic(&Aborted{Rank: g.rank, Collective: "sum of host values", Err: err})
		}
		for i, v := range h {
			sums[i] += v
		}
	}
	g.meet("sum of host values")
	copy(values, sums)
}

func (g *localGroup) Barrier() { g.enter("barrier", nil) }

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
