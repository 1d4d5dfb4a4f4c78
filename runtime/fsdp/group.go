package fsdp

import (
	"dpolab/kernels"
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
	courier   *courier // between home and dev, where that is done beside the computation
	outbox    outbox
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
		if local != p.Value {
			pieces = append(pieces, distributed.Piece{Whole: p.Value.Array(), Part: local.Array(),
				Offsets: elementOffsets(p, g.mesh.Shard.Size())})
		}
	}
	kernels.CopyAll(g.dev.Backend(), g.gathering.casts, g.gathering.masters)
	mail := g.gathering.mail
	if len(mail) > 0 {
		g.courier.upload(&g.outbox, mail)
	}
	switch {
	case len(pieces) > 0: // behind the upload
		g.mesh.Shard.Label(g.name)
		g.gathering.work = g.mesh.Shard.StartAllGather(pieces)
	case len(mail) > 0:
		g.gathering.work = g.courier.arrival()
	}
}

// send returns this rank's rows as they are gathered: in the compute type,
// which halves the traffic, and on the device. Where they are all rows, they
// are the gathered parameter itself. They are cast, or on their way, only when
// the group's are all known.
func (g *group) send(p *nn.Parameter) *tensor.Tensor {
	rows, dt := p.Shard, g.mp.compute(p.Shard.DType())
	if !g.offloaded() && dt == rows.DType() {
		return rows
	}
	there := p.Value
	if g.mesh.Shard.Size() > 1 {
		there = tensor.Empty(g.dev, dt, rows.Shape()...).Keep()
		g.gathering.sent = append(g.gathering.sent, there)
	}
	switch {
	case g.courier != nil:
		g.gathering.mail = append(g.gathering.mail, letter{rows, there})
	case !g.offloaded():
		g.gathering.casts, g.gathering.masters = append(g.gathering.casts, there.Array()), append(g.gathering.masters, rows.Array())
	case dt == rows.DType():
		move(there, g.home, rows.Array())
	default:
		cast := tensor.Empty(g.home, dt, rows.Shape()...).Keep()
		g.home.Backend().Copy(cast.Array(), rows.Array())
		move(there, g.home, cast.Array())
		cast.Release()
	}
	return there
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

// runsAhead reports whether gathering runs beside what the rank computes
// meanwhile.
func (g *group) runsAhead() bool { return g.courier != nil || g.mesh.Shard.Overlaps() }

// forget drops the gathered parameters and their tensors, so that the next
// unshard makes new ones of whatever type is then wanted.
func (g *group) forget() {
	g.outbox.free(g.courier)
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
