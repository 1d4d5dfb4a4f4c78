package fsdp

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/runtime/distributed"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// FullTensor gathers the complete master copy of p, or of anything sharded
// like it such as optimizer state, given this rank's rows. The caller releases
// the result. All ranks must call it in the same order.
func (f *Model) FullTensor(p *nn.Parameter, rows *tensor.Tensor) *tensor.Tensor {
	full := tensor.Empty(f.dev, rows.DType(), p.Shape()...)
	if rows.Device() != f.dev {
		rows = moved(f.dev, rows)
		defer rows.Release()
	}
	f.Mesh.Shard.Label("FullTensor")
	f.Mesh.Shard.AllGather([]distributed.Piece{{Whole: full.Array(), Part: rows.Array(),
		Offsets: elementOffsets(p, f.Mesh.Shard.Size())}})
	return full
}

// LoadRows sets rows (this rank's part of p, or of state sharded like it) from
// the bytes of the complete tensor, which has the same type.
func LoadRows(p *nn.Parameter, rows *tensor.Tensor, full []byte) error {
	size := rows.DType().Size()
	if want := p.Len() * size; len(full) != want {
		return fmt.Errorf("fsdp: state of shape %v takes %d bytes as %s, got %d", p.Shape(), want, rows.DType(), len(full))
	}
	lo, hi := p.RowStart*p.RowLen()*size, p.RowEnd*p.RowLen()*size
	rows.Device().Backend().Upload(rows.Array().Data, full[lo:hi])
	rows.Touch()
	return nil
}

// ShardState is this rank's part of one parameter, as a sharded checkpoint
// stores it; taking it needs no communication.
type ShardState struct {
	Name             string
	Shape            []int // of the full parameter
	RowStart, RowEnd int
	Rows             *tensor.Tensor
}

// ShardedState lists this rank's rows of every parameter.
func (f *Model) ShardedState() []ShardState {
	var out []ShardState
	for _, np := range nn.NamedParameters(f.Module) {
		p := np.Parameter
		out = append(out, ShardState{np.Name, p.Shape(), p.RowStart, p.RowEnd, p.Master()})
	}
	return out
}

// GroupInfo describes one unit of communication, for plans and inspection.
type GroupInfo struct {
	Name         string
	Parameters   int // elements of the full parameters
	ShardBytes   int // master bytes on this rank
	GatherBytes  int // bytes of the gathered parameters
	ReduceBytes  int // bytes of one microbatch's gradients before reduction
	ReshardAfter bool
}

// Groups describes the groups in the order of the blocks, the root last.
func (f *Model) Groups() []GroupInfo {
	var out []GroupInfo
	for _, g := range f.groups {
		info := GroupInfo{Name: g.name, ReshardAfter: g.reshard}
		for _, np := range g.params {
			p := np.Parameter
			master := p.Shard.DType()
			info.Parameters += p.Len()
			info.ShardBytes += p.Shard.Len() * master.Size()
			info.GatherBytes += p.Len() * g.mp.compute(master).Size()
			info.ReduceBytes += p.Len() * g.mp.reduce(master).Size()
		}
		out = append(out, info)
	}
	return out
}

// ParameterBytes is what the model's parameters take while they are gathered
// for computation, in the precision in force.
func (f *Model) ParameterBytes() int {
	n := 0
	for _, g := range f.Groups() {
		n += g.GatherBytes
	}
	return n
}

// ShardBytes is what this rank's part of the master copy takes.
func (f *Model) ShardBytes() int {
	n := 0
	for _, g := range f.Groups() {
		n += g.ShardBytes
	}
	return n
}

// MemoryStats are the figures of this rank's allocator.
func (f *Model) MemoryStats() kernels.MemoryStats { return f.dev.MemoryStats() }
