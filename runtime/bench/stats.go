package bench

import (
	"math"
	"slices"
)

// quantile interpolates between the sorted values around position q of 0 to 1.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Clone(values)
	slices.Sort(v)
	at := q * float64(len(v)-1)
	lo := int(at)
	hi := min(lo+1, len(v)-1)
	return v[lo] + (at-float64(lo))*(v[hi]-v[lo])
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// logProbDifference is the mean and the largest difference of b from a, over a.
func logProbDifference(a, b []float32) (mean, largest float64) {
	if len(a) != len(b) || len(a) == 0 {
		return math.NaN(), math.NaN()
	}
	for i := range a {
		d := math.Abs(float64(b[i])-float64(a[i])) / math.Abs(float64(a[i]))
		mean += d / float64(len(a))
		largest = max(largest, d)
	}
	return mean, largest
}

// lossDifference is the largest difference of two runs' losses, relative to
// the larger one; NaN if they took a different number of steps.
func lossDifference(a, b []float64) float64 {
	if len(a) != len(b) || len(a) == 0 {
		return math.NaN()
	}
	largest := 0.0
	for i := range a {
		d := math.Abs(a[i]-b[i]) / max(math.Abs(a[i]), math.Abs(b[i]), 1e-30)
		if !(d <= largest) {
			largest = d
		}
	}
	return largest
}
