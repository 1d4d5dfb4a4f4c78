package kernels

// Lists are elementwise operations on many tensors at once, floating types all:
// a group of parameters has a dozen, most of them small, and one launch, or one
// division among threads, serves them all.
//
// Composition: the operation on one tensor after the other.
type Lists interface {
	// CopyAll stores each of srcs in that of dsts at the same place, converting
	// the type where they differ.
	CopyAll(dsts, srcs []Array)
	// AddScaledAll adds alpha·x to the dst at the same place.
	AddScaledAll(dsts []Array, alpha float64, xs []Array)
}

// CopyAll is Lists' on any backend.
func CopyAll(b Backend, dsts, srcs []Array) {
	if l, ok := b.(Lists); ok {
		l.CopyAll(dsts, srcs)
		return
	}
	for i := range dsts {
		b.Copy(dsts[i], srcs[i])
	}
}

// AddScaledAll is Lists' on any backend.
func AddScaledAll(b Backend, dsts []Array, alpha float64, xs []Array) {
	if l, ok := b.(Lists); ok {
		l.AddScaledAll(dsts, alpha, xs)
		return
	}
	for i := range dsts {
		b.AddScaled(dsts[i], alpha, xs[i])
	}
}
