package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels/dtype"
)

// floatTypes are the types every backend computes with, intTypes those it
// moves and converts.
var (
	floatTypes = []dtype.DType{dtype.Float32, dtype.BFloat16, dtype.Float16}
	intTypes   = []dtype.DType{dtype.Int32, dtype.Int64}
	allTypes   = append(append([]dtype.DType(nil), intTypes...), floatTypes...)
)

// palette gives an operation's operands their types: operand j has type
// base + j·step of floatTypes. Over all nine palettes, any two neighbouring
// operands meet in every mixture.
type palette struct{ base, step int }

func (p palette) at(j int) dtype.DType { return floatTypes[(p.base+j*p.step)%len(floatTypes)] }

// pure reports whether all operands have one type.
func (p palette) pure() bool { return p.step == 0 }

func (p palette) String() string {
	if p.pure() {
		return p.at(0).String()
	}
	return fmt.Sprintf("%s,%s,%s", p.at(0), p.at(1), p.at(2))
}

func palettes() []palette {
	var out []palette
	for step := range floatTypes {
		for base := range floatTypes {
			out = append(out, palette{base, step})
		}
	}
	return out
}

// sizes straddle vector and block lengths; the last is worth three threads.
var sizes = []int{0, 1, 7, 63, 64, 65, 1000, 50000}

// sizesOf leaves the long size to the palettes of one type.
func sizesOf(p palette) []int {
	if p.pure() {
		return sizes
	}
	return sizes[:len(sizes)-1]
}

// magnitudes adds the absolute values of lists, element by element.
func magnitudes(lists ...[]float64) []float64 {
	out := make([]float64, len(lists[0]))
	for _, l := range lists {
		for i, v := range l {
			out[i] += math.Abs(v)
		}
	}
	return out
}
