package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels/dtype"
)

// Tolerance says how far a result may be from the reference. The zero value
// allows one rounding of the result's type on each side, which is the least
// that an inexact operation needs. The rest is measured in eps, the relative
// error 2^-24 of one float32 rounding.
//
// An infinity or NaN must be met by the same. Results below float32's normal
// range, 2^-126, may be flushed to zero.
type Tolerance struct {
	// Exact allows no difference at all.
	Exact bool
	// Roundings allows that many eps, relative to the element itself or, if Of
	// is given, to Of's element: the size of what was subtracted to make it.
	Roundings float64
	Of        []float64
	// Terms is the length of the float32 sum behind an element, Scale what the
	// sum's size may be, by default that of the largest result: a sum's error
	// grows as 2·eps·√Terms·Scale. Amplify, if above 1, is by how much a rounded
	// intermediate result, such as a large exponent, magnifies its error.
	Terms   int
	Scale   float64
	Amplify float64
}

// exact is the tolerance of operations that move or pick values.
var exact = Tolerance{Exact: true}

// rounded allows n float32 roundings of the element itself.
func rounded(n float64) Tolerance { return Tolerance{Roundings: n} }

// roundedOf allows n float32 roundings of the given magnitudes.
func roundedOf(n float64, magnitudes []float64) Tolerance {
	return Tolerance{Roundings: n, Of: magnitudes}
}

// sum is the tolerance of sums of so many terms; a scale of 0 means the
// largest result.
func sum(terms int, scale float64) Tolerance { return Tolerance{Terms: terms, Scale: scale} }

// largest is the greatest finite magnitude in a list.
func largest(values []float64) float64 {
	top := 0.0
	for _, v := range values {
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			top = math.Max(top, math.Abs(v))
		}
	}
	return top
}

const eps = 1.0 / (1 << 24)

// epsilon is the largest relative error of one rounding to a type, tiny its
// spacing near zero, or float32's least normal number where that is more.
func epsilon(dt dtype.DType) (epsilon, tiny float64) {
	switch dt {
	case dtype.BFloat16:
		return 1.0 / 256, 0x1p-126
	case dtype.Float16:
		return 1.0 / 2048, 0x1p-24
	}
	return eps, 0x1p-126
}

// compare reports the first element that differs too much, and how many do.
func compare(name string, dt dtype.DType, want, got []float64, tol Tolerance) error {
	if len(want) != len(got) {
		return fmt.Errorf("%s: %d elements, want %d", name, len(got), len(want))
	}
	scale := tol.Scale
	if scale == 0 && tol.Terms > 0 {
		scale = largest(want)
	}
	rounding, tiny := epsilon(dt)
	bad, message := 0, ""
	for i, w := range want {
		g := got[i]
		if w == g || math.IsNaN(w) && math.IsNaN(g) {
			continue
		}
		allowed := 0.0
		if !tol.Exact {
			of := math.Abs(w)
			allowed = 2*rounding*of + tiny + 2*math.Sqrt(float64(tol.Terms))*eps*scale*math.Max(tol.Amplify, 1)
			if tol.Of != nil {
				of = math.Abs(tol.Of[i])
			}
			allowed += tol.Roundings * eps * of
		}
		if math.IsInf(w, 0) || !(math.Abs(w-g) <= allowed) {
			if bad++; bad == 1 {
				message = fmt.Sprintf("%s[%d] of %s: got %.9g, want %.9g, off by %.3g, allowed %.3g", name, i, dt, g, w, math.Abs(w-g), allowed)
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%s (%d of %d elements differ)", message, bad, len(want))
	}
	return nil
}
