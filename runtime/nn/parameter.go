package nn

import (
	"fmt"

	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// Parameter is one named weight of a model. Its full, logical shape never
// changes; where its elements are depends on what has been done to the model:
//
//   - meta: no memory yet, as a model is right after construction;
//   - whole: Value holds all elements and is the master copy;
//   - sharded (by package fsdp): Shard holds rows [RowStart, RowEnd) of the
//     master copy, and Value is gathered from all ranks only while a block
//     computes.
//
// Optimizers and checkpoints see the master copy through Master and MasterGrad
// and need not know which it is. A tied weight is one Parameter registered
// under two names.
type Parameter struct {
	shape     []int
	trainable bool
	init      initializer

	// Value is what forward reads: the full parameter, in the type that
	// computation runs in. It is nil on meta and may be discarded while the
	// parameter is sharded.
	Value *tensor.Tensor
	// Shard is this rank's part of the master copy, nil unless sharded. Its
	// shape is [RowEnd-RowStart, shape[1:]...].
	Shard            *tensor.Tensor
	RowStart, RowEnd int

	computes *tensor.Device // where Value is gathered, if that is not where Shard lives
}

// NewParameter returns a parameter on meta: a shape without memory.
func NewParameter(shape ...int) *Parameter {
	return &Parameter{shape: append([]int(nil), shape...), trainable: true, init: initializer{scale: 1}}
}

// Shape returns the full, logical shape.
func (p *Parameter) Shape() []int { return append([]int(nil), p.shape...) }

// Len returns the number of elements of the full parameter.
func (p *Parameter) Len() int {
	n := 1
	for _, d := range p.shape {
		n *= d
	}
	return n
}

// RowLen returns the number of elements in one row of axis 0.
func (p *Parameter) RowLen() int {
	if p.shape[0] == 0 {
		return 0
	}
	return p.Len() / p.shape[0]
}

// IsMeta reports whether the parameter has no memory yet.
func (p *Parameter) IsMeta() bool { return p.Value == nil && p.Shard == nil }

// IsSharded reports whether the master copy is spread over ranks.
func (p *Parameter) IsSharded() bool { return p.Shard != nil }

// Trainable reports whether the parameter gets gradients.
func (p *Parameter) Trainable() bool { return p.trainable }

// SetTrainable freezes or thaws the parameter.
func (p *Parameter) SetTrainable(on bool) {
	p.trainable = on
	if p.Value != nil && p.Value.DType().IsFloat() {
		p.Value.SetRequiresGrad(on)
	}
	if p.Shard != nil {
		p.Shard.SetRequiresGrad(on)
	}
}

// Materialize gives a meta parameter memory of type dt on dev, contents
// undefined.
func (p *Parameter) Materialize(dev *tensor.Device, dt dtype.DType) {
	if !p.IsMeta() {
		return
	}
	p.Value = tensor.Empty(dev, dt, p.shape...).Keep().SetRequiresGrad(p.trainable)
	p.RowStart, p.RowEnd = 0, p.shape[0]
}

// Master returns this rank's part of the master copy: all of it when whole.
func (p *Parameter) Master() *tensor.Tensor {
	if p.Shard != nil {
		return p.Shard
	}
	if p.Value == nil {
		panic(&tensor.Error{Op: "parameter", Want: "one with memory", Got: fmt.Sprintf("a meta parameter of shape %v", p.shape)})
	}
	return p.Value
}

// Device returns where forward computes with the parameter. Its master copy
// may live elsewhere, on the host.
func (p *Parameter) Device() *tensor.Device {
	if p.computes != nil {
		return p.computes
	}
	return p.Master().Device()
}

// ComputeOn says where forward computes with the parameter.
func (p *Parameter) ComputeOn(dev *tensor.Device) { p.computes = dev }

// MasterGrad returns the gradient that belongs to Master, nil if there is none.
func (p *Parameter) MasterGrad() *tensor.Tensor { return p.Master().Grad() }

// ZeroGrad drops the gradient.
func (p *Parameter) ZeroGrad() {
	if p.Value != nil {
		p.Value.ZeroGrad()
	}
	if p.Shard != nil {
		p.Shard.ZeroGrad()
	}
}

// Release frees the parameter's memory and returns it to meta.
func (p *Parameter) Release() {
	if p.Value != nil {
		p.Value.Release()
	}
	if p.Shard != nil {
		p.Shard.Release()
	}
	p.Value, p.Shard = nil, nil
}
