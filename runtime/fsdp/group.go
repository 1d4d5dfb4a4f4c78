package fsdp

import (
	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// group is the unit of communication: the parameters of one block, gathered
// and reduced together.
type group struct {
	name      string
	mesh      *Mesh
	dev       *tensor.Device // where the rank computes
	home      *tensor.Device // where its masters live: dev, or the host
	params    []nn.NamedParameter
	mp        MixedPrecision
	root      bool
	reshard   bool // drop gathered parameters after forward
	whole     bool // Value holds all rows now
	held      bool // Unshard asked to keep it so
	pending   bool // a backward pass has begun and its gradients are not reduced yet
	gathering *gathering
	schedule  *schedule
	// next and previous are the neighbours in forward, nil at the ends.
	next, previous *group
}

// shard moves every parameter of the group from whole or meta to this rank's
// rows. masterType is the type of a meta parameter's master copy.
func (g *group) shard(masterType dtype.DType) {
	for _, np := range g.params {
		p := np.Parameter
		rows := rowOffsets(p, g.mesh.Shard.Size())
		me := g.mesh.Shard.Rank()
		lo, hi := rows[me], rows[me+1]
		dt := masterType
		if p.Value != nil {
			dt = p.Value.DType()
		}
		shape := p.Shape()
		shape[0] = hi - lo
		s := tensor.Empty(g.home, dt, shape...).Keep()
		if p.Value != nil {
			n := p.RowLen()
			move(s, g.dev, p.Value.Array().Slice(lo*n, hi*n))
			p.Value.Release()
			p.Value = nil
		}
		p.Shard, p.RowStart, p.RowEnd = s, lo, hi
		p.ComputeOn(g.dev)
		s.SetRequiresGrad(p.Trainable())
	}
}

// rowOffsets divides a parameter's rows into equal runs, the last ranks taking
// what is left, as FSDP2 chunks axis 0.
func rowOffsets(p *nn.Parameter, size int) []int {
	rows := p.Shape()[0]
	chunk := (rows + size - 1) / size
	o := make([]int, size+1)
	for r := 1; r <= size; r++ {
		o[r] = min(r*chunk, rows)
	}
	return o
}

// elementOffsets is rowOffsets in elements.
func elementOffsets(p *nn.Parameter, size int) []int {
	o := rowOffsets(p, size)
	for i := range o {
		o[i] *= p.RowLen()
	}
	return o
}

// aliases reports whether the gathered parameter is the master itself: nothing
// to gather, nothing to cast, nothing to upload.
func (g *group) aliases(p *nn.Parameter) bool {
	return g.mesh.Shard.Size() == 1 && g.mp.compute(p.Shard.DType()) == p.Shard.DType() && !g.offloaded()
}

// unshard makes Value hold every parameter in the compute type.
func (g *group) unshard() {
	g.schedule.turn(g)
	if g.whole {
		return
	}
	if g.gathering == nil {
		g.start()
	}
	g.arrive()
}

// start begins to gather; the parameters are there after arrive.
func (g *group) start() {
	g.dev.NoGrad(func() { g.dev.Scope(func() *tensor.Tensor { g.gather(); return nil }) })
}

// arrive waits for what start began.
func (g *group) arrive() {
	p := g.gathering
	if p.work != nil {
		p.work.Wait()
	}
	p.release()
	g.gathering = nil
	g.whole = true
}

func (g *group) gather() {
	g.gathering = &gathering{}
	var pieces []distributed.Piece
	for _, np := range g.params {
		p := np.Parameter
		if g.aliases(p) {
			if p.Value == nil {
				p.Value = p.Shard.Detach().Keep()
				g.prepare(p)
			}
			continue
		}
		if p.Value == nil {
			p.Value = tensor.Empty(g.dev, g.mp.compute(p.Shard.DType()), p.Shape()...).Keep()
			g.prepare(p)
		} else {
			p.Value.Restore()
		}
		local := g.send(p)
		pieces = append(pieces, distributed.Piece{Whole: p.Value.Array(), Part: local.Array(),
			Offsets: elementOffsets(p, g.mesh.Shard.Size())})
	}
	if len(pieces) > 0 {
		g.mesh.Shard.Label(g.name)
		g.gathering.work = g.mesh.Shard.StartAllGather(pieces)
	}
}

// send returns this rank's rows as they are gathered: in the compute type,
// which halves the traffic, and on the device.
func (g *group) send(p *nn.Parameter) *tensor.Tensor {
	rows := p.Shard
	if dt := g.mp.compute(rows.DType()); dt != rows.DType() {
		cast := tensor.Empty(g.home, dt, rows.Shape()...).Keep()
		g.home.Backend().Copy(cast.Array(), rows.Array())
		rows = cast
	}
	if g.offloaded() {
		there := moved(g.dev, rows)
		if rows != p.Shard {
			rows.Release()
		}
		rows = there
	}
	if rows != p.Shard {
		g.gathering.casts = append(g.gathering.casts, rows)
	}
	return rows
}

// prepare sets up a new Value as the leaf that backward fills.
func (g *group) prepare(p *nn.Parameter) {
	p.Value.SetGradDType(g.mp.reduce(p.Shard.DType())).SetRequiresGrad(p.Trainable())
}

// drop frees the gathered parameters' memory; what autograd saved of them
// stays valid and is filled again by the next unshard.
func (g *group) drop() {
	if !g.whole || g.held {
		return
	}
	for _, np := range g.params {
		if p := np.Parameter; !g.aliases(p) {
			p.Value.Discard()
		}
	}
	g.whole = false
}

// forget drops the gathered parameters and their tensors, so that the next
// unshard makes new ones of whatever type is then wanted.
func (g *group) forget() {
	if g.gathering != nil {
		g.gathering.release()
		g.gathering = nil
	}
	for _, np := range g.params {
		if p := np.Parameter; p.Value != nil {
			p.Value.Release()
			p.Value = nil
		}
	}
	g.whole, g.held = false, false
}
