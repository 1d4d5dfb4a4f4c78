package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/blas"
	"dpolab/kernels/cuda/internal/driver"
	"dpolab/kernels/dtype"
	"dpolab/kernels/internal/find"
)

// products is an instance's cuBLASLt: a handle and the memory it works in,
// which no two products need at once as they are ordered in one stream.
type products struct {
	handle    *blas.Handle
	workspace driver.Ptr
}

// workspaceBytes is what cuBLASLt's best algorithms want: more on Hopper.
func workspaceBytes(major int) int64 {
	if major >= 9 {
		return 32 << 20
	}
	return 8 << 20
}

// openProducts loads the library and makes a handle.
func (b *Backend) openProducts() error {
	lib, err := openBLAS()
	if err != nil {
		return err
	}
	size := workspaceBytes(b.info.Major)
	workspace, err := b.gpu.Alloc(size)
	if err != nil {
		return fmt.Errorf("workspace of cuBLASLt: %w", err)
	}
	b.products.workspace = workspace
	return b.entered(func() (err error) { b.products.handle, err = lib.Open(size); return err })
}

func (b *Backend) closeProducts() error {
	var errs []error
	if b.products.handle != nil {
		errs = append(errs, b.entered(b.products.handle.Close))
	}
	if b.products.workspace != 0 {
		errs = append(errs, b.gpu.Free(b.products.workspace))
	}
	b.products = products{}
	return errors.Join(errs...)
}

// entered runs fn on a thread whose context is the device's.
func (b *Backend) entered(fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := b.gpu.Enter(); err != nil {
		return err
	}
	return fn()
}

// openBLAS loads the newest cuBLASLt that belongs to no newer CUDA than the
// driver's. The library is the process's.
func openBLAS() (*blas.Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.blas != nil {
		return loaded.blas, nil
	}
	found := find.Search(find.CUBLASLt)
	var errs []error
	for _, path := range found.Paths {
		lib, err := blas.Load(path)
		if err == nil && lib.Major() > loaded.driver.Version()/1000 {
			err = fmt.Errorf("%s is of CUDA %d, the driver knows CUDA %d", path, lib.Major(), loaded.driver.Version()/1000)
		}
		if err == nil {
			loaded.blas = lib
			return lib, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, found.Missing()
	}
	return nil, errors.Join(errs...)
}

var blasTypes = map[dtype.DType]blas.Type{dtype.Float32: blas.Float32, dtype.BFloat16: blas.BFloat16, dtype.Float16: blas.Float16}

// Gemm takes a product with cuBLASLt. The library wants operands of one type
// and stores the sums in that type or float32; for any other mixture operands
// are widened to float32 first and the result is narrowed after.
func (b *Backend) Gemm(g *kernels.GemmArgs) {
	for _, a := range []kernels.Array{g.A, g.B, g.C, g.Bias} {
		if _, ok := blasTypes[a.DType]; !ok && !a.IsNil() {
			panic(&kernels.Error{Op: "gemm", Err: fmt.Errorf("want float32, bfloat16 or float16, got %s", a.DType)})
		}
	}
	switch {
	case g.M == 0 || g.N == 0:
	case g.K == 0:
		b.emptyProduct(g)
	case g.A.DType == g.B.DType && (g.C.DType == dtype.Float32 || g.C.DType == g.A.DType && (g.Bias.IsNil() || g.Bias.DType == g.C.DType)):
		if !b.matmul(g) {
			b.widened(g)
		}
	default:
		b.widened(g)
	}
}

// matmul takes a product whose types the library knows. It reports false if
// the library has no algorithm for it.
func (b *Backend) matmul(g *kernels.GemmArgs) bool {
	if b.products.handle == nil {
		b.check("gemm", b.openProducts())
	}
	s := blas.Shape{TransA: g.TransA, TransB: g.TransB, M: g.M, N: g.N, K: g.K,
		A: blasTypes[g.A.DType], B: blasTypes[g.B.DType], C: blasTypes[g.C.DType], Compute: blas.Full,
		LDA: g.LDA, LDB: g.LDB, LDC: g.LDC, Batch: max(g.Batch, 1), Bias: !g.Bias.IsNil(),
		AlignA: alignment(g.A.Data), AlignB: alignment(g.B.Data), AlignC: alignment(g.C.Data)}
	if s.Batch > 1 {
		s.StrideA, s.StrideB, s.StrideC = g.StrideA, g.StrideB, g.StrideC
	}
	if kernels.TF32Allowed() && g.A.DType == dtype.Float32 {
		s.Compute = blas.TF32
	}
	bias, done := b.biasAs(g)
	defer done()
	o := blas.Operands{A: uintptr(g.A.Data), B: uintptr(g.B.Data), C: uintptr(g.C.Data), Bias: uintptr(bias), Workspace: uintptr(b.products.workspace)}
	b.check("gemm", b.before(b.stream))
	err := b.entered(func() error {
		return b.products.handle.Matmul(s, float32(g.Alpha), float32(g.Beta), o, b.stream.Handle())
	})
	if errors.Is(err, blas.ErrUnsupported) {
		if g.A.DType != dtype.Float32 {
			b.check("gemm", b.after(b.stream, func() kernels.Work { return kernels.Work{Family: "gemm", Name: "not known to cuBLASLt"} }))
			return false
		}
		err = fmt.Errorf("%w: %+v", err, s)
	}
	b.check("gemm", err)
	b.check("gemm", b.after(b.stream, func() kernels.Work { return productWork(g) }))
	return true
}

// biasAs is the bias in C's type, which the library wants it in. That rounds
// nothing: where the types differ, C is float32.
func (b *Backend) biasAs(g *kernels.GemmArgs) (p unsafe.Pointer, done func()) {
	if g.Bias.IsNil() || g.Bias.DType == g.C.DType {
		return g.Bias.Data, func() {}
	}
	p = b.scratch("gemm", g.N*g.C.DType.Size())
	b.Copy(kernels.Array{Data: p, DType: g.C.DType, Len: g.N}, g.Bias.Slice(0, g.N))
	return p, func() { b.Free(p) }
}

// alignment is what an address is aligned to, as far as algorithms care.
func alignment(p unsafe.Pointer) int {
	for _, n := range []int{256, 16, 8, 4} {
		if uintptr(p)%uintptr(n) == 0 {
			return n
		}
	}
	return 2
}

// emptyProduct is a product over no terms, C = beta·C + bias: the library wants
// at least one term, so it gets one of zeros.
func (b *Backend) emptyProduct(g *kernels.GemmArgs) {
	n := max(g.M, g.N)
	zeros := b.scratch("gemm", 4*n)
	defer b.Free(zeros)
	b.check("gemm", b.stream.Fill(driver.Ptr(uintptr(zeros)), 0, int64(4*n)))
	h := *g
	h.K, h.TransA, h.TransB = 1, false, true
	h.A = kernels.Array{Data: zeros, DType: dtype.Float32, Len: n}
	h.B, h.LDA, h.LDB, h.StrideA, h.StrideB = h.A, 1, 1, 0, 0
	b.Gemm(&h)
}

// widened takes a product in float32.
func (b *Backend) widened(g *kernels.GemmArgs) {
	h := *g
	batch := max(g.Batch, 1)
	wide := func(a kernels.Array, n int, fill bool) kernels.Array {
		w := kernels.Array{Data: b.scratch("gemm", 4*n), DType: dtype.Float32, Len: n}
		if fill {
			b.Copy(w, a.Slice(0, n))
		}
		return w
	}
	extent := func(rows, cols, ld, stride int) int { return (batch-1)*stride + (rows-1)*ld + cols }
	if g.A.DType != dtype.Float32 {
		rows, cols := g.M, g.K
		if g.TransA {
			rows, cols = cols, rows
		}
		h.A = wide(g.A, extent(rows, cols, g.LDA, g.StrideA), true)
		defer b.Free(h.A.Data)
	}
	if g.B.DType != dtype.Float32 {
		rows, cols := g.K, g.N
		if g.TransB {
			rows, cols = cols, rows
		}
		h.B = wide(g.B, extent(rows, cols, g.LDB, g.StrideB), true)
		defer b.Free(h.B.Data)
	}
	if g.C.DType == dtype.Float32 {
		b.matmul(&h)
		return
	}
	// What lies between the rows of C goes back as it was.
	n := extent(g.M, g.N, g.LDC, g.StrideC)
	h.C = wide(g.C, n, g.Beta != 0 || n != batch*g.M*g.N)
	defer b.Free(h.C.Data)
	b.matmul(&h)
	b.Copy(g.C.Slice(0, n), h.C)
}
