package main

// own lists the packages of this module that cells can import. A package added
// here is importable after `make generate`.
var own = []string{
	"dpolab/kernels/device",
	"dpolab/kernels/dtype",
	"dpolab/runtime/config",
	"dpolab/runtime/data",
	"dpolab/runtime/distributed",
	"dpolab/runtime/fsdp",
	"dpolab/runtime/generate",
	"dpolab/runtime/loss",
	"dpolab/runtime/models",
	"dpolab/runtime/nn",
	"dpolab/runtime/optim",
	"dpolab/runtime/safetensors",
	"dpolab/runtime/tensor",
	"dpolab/runtime/tensor/gradcheck",
	"dpolab/runtime/tokenizer",
	"dpolab/runtime/train",
	"dpolab/stdlib/display",
	"dpolab/stdlib/dpo",
	"dpolab/stdlib/plot",
}

// thirdParty lists the packages of other modules that cells can import.
var thirdParty = []string{
	"gonum.org/v1/gonum/diff/fd",
	"gonum.org/v1/gonum/floats",
	"gonum.org/v1/gonum/floats/scalar",
	"gonum.org/v1/gonum/mat",
	"gonum.org/v1/gonum/optimize",
	"gonum.org/v1/gonum/stat",
	"gonum.org/v1/gonum/stat/distuv",
	"gonum.org/v1/plot",
	"gonum.org/v1/plot/font",
	"gonum.org/v1/plot/plotter",
	"gonum.org/v1/plot/plotutil",
	"gonum.org/v1/plot/vg",
	"gonum.org/v1/plot/vg/draw",
	"gonum.org/v1/plot/vg/vgimg",
	"gonum.org/v1/plot/vg/vgsvg",
}

// excluded names the standard packages that cells cannot import, and why.
var excluded = map[string]string{
	"crypto/mlkem/mlkemtest": "for tests of the standard library",
	"embed":                  "needs a compiler directive",
	"expvar":                 "importing it opens a page on the default HTTP server",
	"net/http/pprof":         "importing it opens pages on the default HTTP server",
	"plugin":                 "loads compiled code built elsewhere",
	"runtime/cgo":            "for cgo",
	"runtime/coverage":       "for binaries built with -cover",
	"runtime/race":           "for binaries built with -race",
	"testing/cryptotest":     "for compiled tests",
	"testing/synctest":       "for compiled tests",
	"time/tzdata":            "has no names, and half a megabyte of data",
	"unique":                 "has generic names only, tied to the compiler",
	"unsafe":                 "the interpreter has no layout to point into",
	"weak":                   "has generic names only, tied to the compiler",
}

// portable names the packages whose constants and functions differ between
// the architectures of Linux; only what is the same on all is kept.
var portable = map[string]bool{"syscall": true}

// architectures are those that a portable package is compared on.
var architectures = []string{"amd64", "arm64"}
