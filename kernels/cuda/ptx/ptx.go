// Package ptx holds the kernels of kernels/cuda/src, compiled to PTX by `make
// generate`: PTX 8.0, which drivers since 525 take. The text for sm_80 runs on
// every GPU since Ampere, that for sm_90a on Hopper alone.
//
// sources.txt has a hash of the text that each module was compiled from. A
// test compares it with the present text; `make test-ptx` compiles everything
// again and compares the PTX too.
package ptx

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"sync"

	"dpolab/kernels/cuda/src"
)

//go:embed sources.txt sm_80/*.ptx.gz sm_90a/*.ptx.gz
var files embed.FS

// modules maps each kernel to the module that holds it.
var modules = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, m := range src.Modules() {
		kernels, err := src.Kernels(m)
		if err != nil {
			panic(err) // embedded
		}
		for _, k := range kernels {
			out[k] = m
		}
	}
	return out
})

// Architecture is the one whose text a compute capability runs, "" if none.
func Architecture(major, minor int) string {
	switch {
	case major == 9 && minor == 0:
		return "sm_90a"
	case major >= 8:
		return "sm_80"
	}
	return ""
}

// Find returns the module that holds a kernel and its PTX for a compute
// capability. ok is false where there is no such kernel, or none for a chip so
// old.
func Find(kernel string, major, minor int) (module string, image []byte, ok bool) {
	module, arch := modules()[kernel], Architecture(major, minor)
	if module == "" || arch == "" {
		return "", nil, false
	}
	packed, err := files.ReadFile(fmt.Sprintf("%s/%s.ptx.gz", arch, module))
	if err != nil {
		return "", nil, false
	}
	image, err = unpack(packed)
	return module, image, err == nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Source is a module's CUDA C, complete in itself, for a compiler that is found
// at run time; "" if there is no such module.
func Source(module string) string {
	text, err := src.Module(module)
	if err != nil {
		return ""
	}
	return text
}
