//go:build !cuda

package driver

import "errors"

// Built reports whether this program has the CUDA driver's bindings.
const Built = false

// Load fails: the bindings need the build tag and the Makefile's flags.
func Load(path string) (Driver, error) {
	return nil, errors.New("this program was built without the cuda tag; plain make builds it with it")
}
