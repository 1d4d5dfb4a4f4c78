// Package rand has the generic part of math/rand/v2, in source that cells can
// instantiate.
package rand

import "math/rand/v2"

type intType interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// N returns a random number from 0 up to n, without n.
func N[Int intType](n Int) Int {
	if n <= 0 {
		panic("rand.N: limit not positive")
	}
	return Int(rand.Uint64N(uint64(n)))
}
