// Package dtype names the element types that tensors, kernels and checkpoints
// share, and converts between them.
//
// Every narrowing conversion rounds to nearest, ties to even, as IEEE 754 and
// PyTorch do; a value beyond the largest finite float16 becomes an infinity,
// and a NaN stays a NaN.
package dtype

import "fmt"

// DType is an element type. The zero value is Invalid: a MixedPrecision field
// left at it means "no cast".
type DType uint8

const (
	Invalid DType = iota
	Float32
	BFloat16
	Float16
	Int32
	Int64
	// Float64 exists for oracles and gradient checks; only the reference
	// backend computes in it.
	Float64
)

var names = [...]string{"invalid", "float32", "bfloat16", "float16", "int32", "int64", "float64"}

// String returns PyTorch's name: "float32", "bfloat16", ...
func (d DType) String() string {
	if int(d) < len(names) {
		return names[d]
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Size is the number of bytes one element takes.
func (d DType) Size() int {
	switch d {
	case BFloat16, Float16:
		return 2
	case Float32, Int32:
		return 4
	case Float64, Int64:
		return 8
	}
	return 0
}

// IsFloat reports whether d is a floating-point type.
func (d DType) IsFloat() bool {
	return d == Float32 || d == BFloat16 || d == Float16 || d == Float64
}

// Parse reads a name as users write it: PyTorch's names and the short forms
// f32, bf16, f16, fp32, fp16, half, float.
func Parse(name string) (DType, error) {
	switch name {
	case "float32", "f32", "fp32", "float":
		return Float32, nil
	case "bfloat16", "bf16":
		return BFloat16, nil
	case "float16", "f16", "fp16", "half":
		return Float16, nil
	case "int32", "i32":
		return Int32, nil
	case "int64", "i64", "long":
		return Int64, nil
	case "float64", "f64", "fp64", "double":
		return Float64, nil
	}
	return Invalid, fmt.Errorf("dtype: unknown element type %q, want float32, bfloat16 or float16", name)
}
