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
	name    string
	mesh    *Mesh
	dev     *tensor.Device
	params  []nn.NamedParameter
	mp      MixedPrecision
	reshard bool // drop gathered parameters after forward
	whole   bool // Value holds all rows now
	held    bool // Unshard asked to keep it so
	pending bool // a backward pass has begun and its gradients are not reduced yet
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
		s := tensor.Empty(g.dev, dt, shape...).Keep()
		if p.Value != nil {
			n := p.RowLen()
			g.dev.Backend().Copy(s.Array(), p.Value.Array().Slice(lo*n, hi*n))
			p.Value.Release()
			p.Value = nil
		}
		p.Shard, p.RowStart, p.RowEnd = s, lo, hi
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
// to gather, nothing to cast.
func (g *group) aliases(p *nn.Parameter) bool {
	return g.mesh.Shard.Size() == 1 && g.mp.compute(p.Shard.DType()) == p.Shard.DType()
}

// unshard makes Value hold every parameter in the compute type.
func (g *group) unshard() {
	if g.whole {
		return
	}
	g.dev.NoGrad(func() { g.dev.Scope(func() *tensor.Tensor { g.gather(); return nil }) })
	g.whole = true
}

func (g *group) gather() {
	be := g.dev.Backend()
	var pieces []distributed.Piece
	for _, np := range g.params {
		p := np.Parameter
		master := p.Shard.DType()
		dt := g.mp.compute(master)
		if g.aliases(p) {
			if p.Value == nil {
				p.Value = p.Shard.Detach().Keep()
				g.prepare(p)
			}
			continue
		}
		if p.Value == nil {
			p.Value = tensor.Empty(g.dev, dt, p.Shape()...).Keep()
			g.prepare(p)
		} else {
			p.Value.Restore()
		}
		local := p.Shard.Array()
		if dt != master { // cast the shard, then gather: half the traffic
			cast := tensor.Empty(g.dev, dt, p.Shard.Shape()...)
			be.Copy(cast.Array(), local)
			local = cast.Array()
		}
		pieces = append(pieces, distributed.Piece{Whole: p.Value.Array(), Part: local,
			Offsets: elementOffsets(p, g.mesh.Shard.Size())})
	}
	if len(pieces) > 0 {
		g.mesh.Shard.AllGather(pieces)
	}
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
	for _, np := range g.params {
		if p := np.Parameter; p.Value != nil {
			p.Value.Release()
			p.Value = nil
		}
	}
	g.whole, g.held = false, false
}

// reduce sums this microbatch's gradients over the ranks and adds the mean to
// the shards' gradients.
func (g *group) reduce() {
	if !g.pending {
		return
	}
	g.pending = false
	g.drop()
	g.dev.NoGrad(func() { g.dev.Scope(func() *tensor.Tensor { g.reduceGradients(); return nil }) })
}

func (g *group) reduceGradients() {
	be := g.dev.Backend()
	var pieces []distributed.Piece
	var trained []*nn.Parameter
	var parts []kernels.Array
	for _, np := range g.params {
		p := np.Parameter
		if !p.Trainable() {
			continue
		}
		dt := g.mp.reduce(p.Shard.DType())
		grad := p.Value.Grad()
		if grad == nil { // unused in this microbatch on this rank, not on others
			grad = tensor.Zeros(g.dev, dt, p.Shape()...)
		}
		part := grad.Array()
		if g.mesh.Shard.Size() > 1 {
			part = tensor.Empty(g.dev, dt, p.Shard.Shape()...).Array()
		}
		pieces = append(pieces, distributed.Piece{Whole: grad.Array(), Part: part,
			Offsets: elementOffsets(p, g.mesh.Shard.Size())})
		trained = append(trained, p)
		parts = append(parts, part)
	}
	if len(trained) == 0 {
		return
	}
	if g.mesh.Shard.Size() > 1 {
		g.mesh.Shard.ReduceScatter(pieces)
	}
	if g.mesh.Replicate.Size() > 1 {
		g.mesh.Replicate.AllReduce(parts)
	}
	for i, p := range trained {
		if g.mesh.world > 1 || p.Shard.Grad() != nil || parts[i].DType != masterGradType(p) {
			g.accumulate(be, p, parts[i])
		} else if grad := p.Value.Grad(); grad != nil {
			p.Shard.SetGrad(grad.Detach()) // nothing to sum or convert: hand it over
		}
		p.Value.ZeroGrad()
	}
}

// masterGradType is the type gradients are accumulated in: float32, or float64
// for float64 masters.
func masterGradType(p *nn.Parameter) dtype.DType {
	if p.Shard.DType() == dtype.Float64 {
		return dtype.Float64
	}
	return dtype.Float32
}

// accumulate adds the sum over ranks, divided by their number, to the master
// gradient.
func (g *group) accumulate(be kernels.Backend, p *nn.Parameter, sum kernels.Array) {
	grad := p.Shard.Grad()
	if grad == nil {
		grad = tensor.Zeros(g.dev, masterGradType(p), p.Shard.Shape()...)
		p.Shard.SetGrad(grad)
	}
	be.AddScaled(grad.Array(), 1/float64(g.mesh.world), sum)
}
