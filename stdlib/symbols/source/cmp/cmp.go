// Package cmp orders values, in source that cells can instantiate.
package cmp

// Ordered permits the types that have the operators < <= >= >.
type Ordered interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr |
		~float32 | ~float64 |
		~string
}

// Less reports whether x stands before y; NaN stands before every number.
func Less[T Ordered](x, y T) bool {
	return x < y || x != x && y == y
}

// Compare returns -1, 0 or +1 as x stands before, beside or after y; NaN
// equals NaN and stands before every number.
func Compare[T Ordered](x, y T) int {
	if Less(x, y) {
		return -1
	}
	if Less(y, x) {
		return +1
	}
	return 0
}

// Or returns the first value that is not zero, or zero.
func Or[T comparable](vals ...T) T {
	var zero T
	for _, v := range vals {
		if v != zero {
			return v
		}
	}
	return zero
}
