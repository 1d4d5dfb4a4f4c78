package fsdp

import (
	"fmt"

	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// MixedPrecision says in which types a sharded model computes and
// communicates. A field left at dtype.Invalid changes nothing: parameters are
// gathered and used in the master's type, ReduceDType follows ParamDType as in
// FSDP1, buffers stay float32.
type MixedPrecision struct {
	// ParamDType is the type shards are cast to before they are gathered, and
	// so the type of forward and backward.
	ParamDType dtype.DType
	// ReduceDType is the type in which gradients are collected and reduced.
	ReduceDType dtype.DType
	// BufferDType is the type of floating buffers other than rotary tables.
	BufferDType dtype.DType
}

// FullPrecision computes in the master parameters' type.
func FullPrecision() MixedPrecision { return MixedPrecision{} }

// BFloat16Mixed computes in bfloat16 and reduces gradients in float32: the
// recommended setting.
func BFloat16Mixed() MixedPrecision {
	return MixedPrecision{ParamDType: dtype.BFloat16, ReduceDType: dtype.Float32}
}

// Uniform uses one type for parameters, reduction and buffers, which is what
// the reference's model.fsdp_policy_mp does.
func Uniform(dt dtype.DType) MixedPrecision {
	return MixedPrecision{ParamDType: dt, ReduceDType: dt, BufferDType: dt}
}

// Float16Mixed computes in float16 and reduces in float32; gradients need a
// loss scale.
func Float16Mixed() MixedPrecision {
	return MixedPrecision{ParamDType: dtype.Float16, ReduceDType: dtype.Float32}
}

// Validate reports a field that is not a floating type of at most 32 bits.
func (mp MixedPrecision) Validate() error {
	check := func(field string, dt dtype.DType) error {
		switch dt {
		case dtype.Invalid, dtype.Float32, dtype.BFloat16, dtype.Float16:
			return nil
		}
		return fmt.Errorf("fsdp: %s: want float32, bfloat16 or float16, got %s", field, dt)
	}
	if err := check("ParamDType", mp.ParamDType); err != nil {
		return err
	}
	if err := check("ReduceDType", mp.ReduceDType); err != nil {
		return err
	}
	return check("BufferDType", mp.BufferDType)
}

// supported reports a field whose type the device cannot compute in.
func (mp MixedPrecision) supported(dev *tensor.Device) error {
	for _, dt := range []dtype.DType{mp.ParamDType, mp.ReduceDType, mp.BufferDType} {
		if err := dev.Supports(dt); err != nil {
			return fmt.Errorf("fsdp: MixedPrecision %s: %w", mp, err)
		}
	}
	return nil
}

// String shows the three types as "param=bfloat16 reduce=float32 buffer=float32".
func (mp MixedPrecision) String() string {
	name := func(dt, otherwise dtype.DType) string {
		if dt != dtype.Invalid {
			return dt.String()
		}
		if otherwise != dtype.Invalid {
			return otherwise.String()
		}
		return "float32"
	}
	return fmt.Sprintf("param=%s reduce=%s buffer=%s", name(mp.ParamDType, 0),
		name(mp.ReduceDType, mp.ParamDType), name(mp.BufferDType, 0))
}

// NeedsLossScale reports whether gradients pass through float16, whose range
// is too narrow for them unscaled.
func (mp MixedPrecision) NeedsLossScale() bool {
	return mp.ParamDType == dtype.Float16 || mp.ReduceDType == dtype.Float16
}

// compute returns the type parameters with the given master type are used in.
func (mp MixedPrecision) compute(master dtype.DType) dtype.DType {
	if mp.ParamDType == dtype.Invalid {
		return master
	}
	return mp.ParamDType
}

// reduce returns the type gradients are collected and reduced in.
func (mp MixedPrecision) reduce(master dtype.DType) dtype.DType {
	switch {
	case mp.ReduceDType != dtype.Invalid:
		return mp.ReduceDType
	case mp.ParamDType != dtype.Invalid:
		return mp.ParamDType
	case master == dtype.Float64:
		return dtype.Float64
	}
	return dtype.Float32
}
