// Package blas takes matrix products with NVIDIA's cuBLASLt, which it opens
// while the program runs.
//
// # Plans
//
// A product is described by a [Shape]: sizes, types, strides, and how far its
// operands are aligned. The first product of a shape asks the library for its
// algorithm and keeps that, with the library's descriptors, as a plan; later
// ones only run it.
//
// # Order
//
// cuBLASLt's matrices are stored by columns. A row-major C = A·B is the
// column-major Cᵀ = Bᵀ·Aᵀ of the same memory, so the operands change places and
// nothing is moved.
package blas

// #include <stdlib.h>
// #include "blas.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"dpolab/kernels/internal/dl"
)

// Type is an element type, by cudaDataType's number.
type Type int32

const (
	Float32  Type = 0
	Float16  Type = 2
	BFloat16 Type = 14
)

// Compute is the arithmetic, by cublasComputeType's number. Sums are float32.
type Compute int32

const (
	Full Compute = 68 // float32, or exact products of 16-bit operands
	TF32 Compute = 77 // float32 operands rounded to 10 bits of fraction
)

// Library is an opened cuBLASLt.
type Library struct {
	lib  C.lt_library
	path string
}

// functions are the library's, in the order of the fields of C.lt_library, which has no
// others.
var functions = [...]string{
	"cublasLtGetVersion", "cublasLtCreate", "cublasLtDestroy", "cublasLtMatmulDescCreate",
	"cublasLtMatmulDescDestroy", "cublasLtMatmulDescSetAttribute", "cublasLtMatrixLayoutCreate", "cublasLtMatrixLayoutDestroy",
	"cublasLtMatrixLayoutSetAttribute", "cublasLtMatmulPreferenceCreate", "cublasLtMatmulPreferenceDestroy", "cublasLtMatmulPreferenceSetAttribute",
	"cublasLtMatmulAlgoGetHeuristic", "cublasLtMatmul",
}

// The table and the structure have one length.
var _ = [1]int{}[len(functions)*8-int(unsafe.Sizeof(C.lt_library{}))]

// Load opens the library at path.
func Load(path string) (*Library, error) {
	l := &Library{path: path}
	slots := (*[len(functions)]unsafe.Pointer)(unsafe.Pointer(&l.lib))
	if err := dl.Open(path, functions[:], slots[:]); err != nil {
		return nil, err
	}
	return l, nil
}

// Path is the file the library was opened from.
func (l *Library) Path() string { return l.path }

// Version is the library's own: "13.1.0".
func (l *Library) Version() string {
	n := int(C.lt_version(&l.lib))
	if n >= 100000 { // since 12.0: major·10000 + minor·100 + patch
		return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100)
	}
	return fmt.Sprintf("%d.%d.%d", n/1000, n/100%10, n%100)
}

// Major is the version of CUDA that the library belongs to.
func (l *Library) Major() int {
	n := int(C.lt_version(&l.lib))
	if n >= 100000 {
		return n / 10000
	}
	return n / 1000
}

// Handle is the library's state on one device. Its context must be current on
// the calling thread in every call.
type Handle struct {
	lib       *Library
	handle    unsafe.Pointer
	workspace int64
	plans     map[Shape]*C.lt_plan
}

// Open makes a handle whose products may use a workspace of that many bytes.
func (l *Library) Open(workspace int64) (*Handle, error) {
	h := &Handle{lib: l, workspace: workspace, plans: map[Shape]*C.lt_plan{}}
	if code := C.lt_create(&l.lib, &h.handle); code != 0 {
		return nil, failure("create", code)
	}
	return h, nil
}

// Close frees the plans and the handle.
func (h *Handle) Close() error {
	for _, p := range h.plans {
		C.lt_drop(&h.lib.lib, p)
	}
	h.plans = nil
	return failure("destroy", C.lt_destroy(&h.lib.lib, h.handle))
}

// Plans is the number of plans that are kept.
func (h *Handle) Plans() int { return len(h.plans) }

// Shape describes a row-major product C[M,N] = op(A)·op(B), repeated Batch times.
type Shape struct {
	TransA, TransB            bool
	M, N, K                   int
	A, B, C                   Type
	Compute                   Compute
	LDA, LDB, LDC             int
	Batch                     int
	StrideA, StrideB, StrideC int
	Bias                      bool // N elements of C's type, added to every row
	// Alignments of the operands in bytes, powers of two up to 256.
	AlignA, AlignB, AlignC int
}

// ErrUnsupported is the library having no algorithm for a shape.
var ErrUnsupported = errors.New("cuBLASLt has no algorithm for this product")

// Operands are the addresses of a product's operands in device memory.
type Operands struct {
	A, B, C, Bias, Workspace uintptr
}

// Matmul queues C = alpha·op(A)·op(B) + beta·C + bias.
func (h *Handle) Matmul(s Shape, alpha, beta float32, o Operands, stream unsafe.Pointer) error {
	plan, known := h.plans[s]
	if !known {
		var err error
		if plan, err = h.plan(s); err != nil && !errors.Is(err, ErrUnsupported) {
			return err
		}
		h.plans[s] = plan // nil where there is none, so that it is not looked for again
	}
	if plan == nil {
		return ErrUnsupported
	}
	return failure("matmul", C.lt_run(&h.lib.lib, h.handle, plan, C.float(alpha), C.float(beta),
		C.uintptr_t(o.A), C.uintptr_t(o.B), C.uintptr_t(o.C), C.uintptr_t(o.Bias), C.uintptr_t(o.Workspace), stream))
}

func (h *Handle) plan(s Shape) (*C.lt_plan, error) {
	// A and B change places: what the library calls A is our B.
	cs := C.lt_shape{
		ta: trans(s.TransB), tb: trans(s.TransA), m: C.int64_t(s.N), n: C.int64_t(s.M), k: C.int64_t(s.K),
		at: C.int(s.B), bt: C.int(s.A), ct: C.int(s.C), compute: C.int(s.Compute),
		lda: C.int64_t(s.LDB), ldb: C.int64_t(s.LDA), ldc: C.int64_t(s.LDC),
		batch: C.int(s.Batch), sa: C.int64_t(s.StrideB), sb: C.int64_t(s.StrideA), sc: C.int64_t(s.StrideC),
		align_a: C.uint32_t(s.AlignB), align_b: C.uint32_t(s.AlignA), align_c: C.uint32_t(s.AlignC),
		workspace: C.size_t(h.workspace),
	}
	if s.Bias {
		cs.bias = 1
	}
	var plan *C.lt_plan
	code := C.lt_prepare(&h.lib.lib, h.handle, &cs, &plan)
	if code == C.LT_NOT_SUPPORTED || code == C.LT_INVALID_VALUE {
		return nil, ErrUnsupported
	}
	return plan, failure("plan", code)
}

func trans(t bool) C.int {
	if t {
		return 1
	}
	return 0
}

// failure turns a status into an error.
func failure(what string, code C.int) error {
	names := map[C.int]string{1: "not initialised", 3: "no memory", 7: "invalid value", 8: "needs another architecture",
		11: "memory could not be mapped", 13: "the execution failed", 14: "internal error", 15: "not supported"}
	if code == 0 {
		return nil
	}
	name := names[code]
	if name == "" {
		name = "unknown"
	}
	return fmt.Errorf("cuBLASLt %s: %s (status %d)", what, name, int(code))
}
