// Package emulated is a tier of package cpu for tests alone: the bodies of the
// AVX-512 tier on vectors of 512 bits that the compiler cuts in two, with AMX's
// tile instructions as functions in C. It shows on any processor with AVX2 that
// operands are packed, tiles walked and sums stored as they should be; that the
// instructions do what the functions do is the manual's word.
//
// A program that does not import it has no such tier.
package emulated

// #cgo CFLAGS: -O3 -fno-strict-aliasing -Wno-psabi
import "C"

import (
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
)

// New returns an instance of the tier. This package includes files of package
// cpu's: that it imports it, too, is how Go knows when to compile them again.
func New(d device.Device, threads int) (*cpu.Backend, error) {
	return cpu.NewTier(d, threads, "emulated")
}
