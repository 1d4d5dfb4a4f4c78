package fsdp

import (
	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// reduction is the summing of one microbatch's gradients over the ranks, from
// the time it is started until the mean is added to the shards' gradients.
type reduction struct {
	g       *group
	work    []*distributed.Work // over the ranks of a shard, then over its replicas
	arrived *delivery           // the parts on the host, where the courier brings them
	trained []*nn.Parameter
	grads   []*tensor.Tensor // of the full parameters
	parts   []*tensor.Tensor // this rank's rows of their sum
}

// reduce starts the reduction of this microbatch's gradients.
func (g *group) reduce() {
	if !g.pending {
		return
	}
	g.pending = false
	g.drop()
	g.dev.NoGrad(func() {
		g.dev.Scope(func() *tensor.Tensor {
			if g.mesh.world == 1 && g.courier == nil {
				g.handOver()
			} else {
				g.startReduction()
			}
			return nil
		})
	})
}

// handOver is the reduction of a world of one rank: nothing to sum, and often
// nothing to convert.
func (g *group) handOver() {
	var trained []*nn.Parameter
	var grads []*tensor.Tensor
	for _, np := range g.params {
		p := np.Parameter
		if !p.Trainable() {
			continue
		}
		grad := p.Value.Grad()
		switch {
		case grad == nil && p.Shard.Grad() == nil:
		case grad == nil: // adding zeros
		case p.Shard.Grad() == nil && grad.DType() == masterGradType(p) && !g.offloaded():
			p.Shard.SetGrad(grad.Detach())
		default:
			trained, grads = append(trained, p), append(grads, grad.Detach())
		}
		p.Value.ZeroGrad()
	}
	g.accumulate(trained, grads)
}

func (g *group) startReduction() {
	r := &reduction{g: g}
	var pieces []distributed.Piece
	for _, np := range g.params {
		p := np.Parameter
		if !p.Trainable() {
			continue
		}
		dt := g.mp.reduce(p.Shard.DType())
		grad := p.Value.Grad()
		if grad == nil && g.mesh.world == 1 {
			continue // nothing to add
		}
		if grad == nil { // unused in this microbatch on this rank, not on others
			grad = tensor.Zeros(g.dev, dt, p.Shape()...).Keep()
		} else {
			grad = grad.Detach().Keep()
			p.Value.ZeroGrad() // the next microbatch's begins anew
		}
		part := grad
		if g.mesh.Shard.Size() > 1 {
			part = tensor.Empty(g.dev, dt, p.Shard.Shape()...).Keep()
		}
		pieces = append(pieces, distributed.Piece{Whole: grad.Array(), Part: part.Array(),
			Offsets: elementOffsets(p, g.mesh.Shard.Size())})
		r.trained = append(r.trained, p)
		r.grads = append(r.grads, grad)
		r.parts = append(r.parts, part)
	}
	if len(r.trained) == 0 {
		return
	}
	g.schedule.follow(r)
	if g.mesh.Shard.Size() > 1 {
		g.mesh.Shard.Label(g.name)
		r.work = append(r.work, g.mesh.Shard.StartReduceScatter(pieces))
	}
	if g.mesh.Replicate.Size() > 1 {
		arrays := make([]kernels.Array, len(r.parts))
		for i, p := range r.parts {
			arrays[i] = p.Array()
		}
		g.mesh.Replicate.Label(g.name)
		r.work = append(r.work, g.mesh.Replicate.StartAllReduce(arrays))
	}
	if g.courier != nil {
		r.arrived = g.courier.download(r.parts)
	}
	if g.courier == nil && !g.mesh.Shard.Overlaps() && !g.mesh.Replicate.Overlaps() {
		g.schedule.settle()
	}
}

// complete adds the mean over the ranks to the shards' gradients.
func (r *reduction) complete() {
	defer r.release()
	g := r.g
	for _, w := range r.work {
		w.Wait()
	}
	if r.arrived != nil {
		g.add(r.trained, r.arrived.wait())
		return
	}
	g.accumulate(r.trained, r.parts)
}

func (r *reduction) release() {
	if r.arrived != nil {
		r.arrived.release()
	}
	for i := range r.grads {
		r.grads[i].Release()
		r.parts[i].Release()
	}
	r.grads, r.parts = nil, nil
}

// masterGradType is the type gradients are accumulated in: float32, or float64
// for float64 masters.
func masterGradType(p *nn.Parameter) dtype.DType {
	if p.Shard.DType() == dtype.Float64 {
		return dtype.Float64
	}
	return dtype.Float32
}

// accumulate adds sums over ranks to the master gradients, where those live.
func (g *group) accumulate(trained []*nn.Parameter, sums []*tensor.Tensor) {
	arrays := make([]kernels.Array, len(sums))
	for i, s := range sums {
		if g.offloaded() {
			s = moved(g.home, s)
			defer s.Release()
		}
		arrays[i] = s.Array()
	}
	g.add(trained, arrays)
}

// add adds sums over ranks, which are at home, divided by their number.
func (g *group) add(trained []*nn.Parameter, sums []kernels.Array) {
	grads := make([]kernels.Array, len(trained))
	for i, p := range trained {
		if p.Shard.Grad() == nil {
			p.Shard.SetGrad(tensor.Zeros(g.home, masterGradType(p), p.Shard.Shape()...))
		}
		grads[i] = p.Shard.Grad().Array()
	}
	kernels.AddScaledAll(g.home.Backend(), grads, 1/float64(g.mesh.world), sums)
}
