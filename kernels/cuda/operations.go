package cuda

import (
	"fmt"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// launcher is what the operations need of a device. A Backend is one; tests
// run the same operations on kernels compiled for the CPU.
type launcher interface {
	launch(kernel string, grid [3]int, threads, shared int, args unsafe.Pointer, size uintptr)
	Alloc(n int) (unsafe.Pointer, error)
	Free(p unsafe.Pointer)
	Upload(dst unsafe.Pointer, src []byte)
	Download(dst []byte, src unsafe.Pointer)
	Gemm(args *kernels.GemmArgs)
}

// operations are the contract's operations but for memory and matrix products:
// each prepares the arguments of one or more kernels of src/ and launches them.
type operations struct {
	on    launcher
	fault uintptr // what kernels report indices out of range in
}

// vector is VEC of prelude.cuh: how many elements a thread takes.
const vector = 8

// run launches a kernel. A grid without blocks is no launch.
func run[T any](o *operations, kernel string, grid [3]int, threads, shared int, args *T) {
	if grid[0] == 0 || grid[1] == 0 || grid[2] == 0 {
		return
	}
	o.on.launch(kernel, grid, threads, shared, unsafe.Pointer(args), unsafe.Sizeof(*args))
}

// line launches a kernel whose threads take each elements apiece, 256 to a
// block.
func line[T any](o *operations, kernel string, n, each int, args *T) {
	run(o, kernel, [3]int{ceil(n, 256*each), 1, 1}, 256, 0, args)
}

func ceil(n, d int) int { return (n + d - 1) / d }

// threadsFor is the smallest block that takes so many columns at once, eight a
// thread, and at most most.
func threadsFor(cols, most int) int { return min(most, max(1, ceil(cols, 32*vector))*32) }

// scratch allocates an operation's temporary memory; the caller frees it as
// soon as what uses it is queued.
func (o *operations) scratch(op string, n int) unsafe.Pointer {
	p, err := o.on.Alloc(n)
	if err != nil {
		panic(&kernels.Error{Op: op, Err: err})
	}
	return p
}

// array is Array of prelude.cuh.
type array struct {
	data           uintptr
	dtype, padding int32
}

// operand lays a floating array out for a kernel.
func operand(op string, a kernels.Array) array {
	switch {
	case a.IsNil():
		return array{dtype: int32(dtype.Float32)}
	case a.DType == dtype.Float32, a.DType == dtype.BFloat16, a.DType == dtype.Float16:
		return array{data: uintptr(a.Data), dtype: int32(a.DType)}
	}
	panic(&kernels.Error{Op: op, Err: fmt.Errorf("no kernels for %s", a.DType)})
}

// typed is the address of an array that must have a type.
func typed(op string, a kernels.Array, want dtype.DType) uintptr {
	if !a.IsNil() && a.DType != want {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("want %s, got %s", want, a.DType)})
	}
	return uintptr(a.Data)
}

func floats(op string, a kernels.Array) uintptr { return typed(op, a, dtype.Float32) }
func ints(op string, a kernels.Array) uintptr   { return typed(op, a, dtype.Int32) }

// same checks that operands of an elementwise operation have one length.
func same(op string, a kernels.Array, others ...kernels.Array) {
	for _, b := range others {
		if b.Len != a.Len {
			panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d elements against %d", a.Len, b.Len)})
		}
	}
}

// layout is an index space with the strides of two operands. Axes are joined
// where both step through evenly and dropped where they have one step.
type layout struct {
	shape, first, second []int
}

func newLayout(op string, shape, first, second []int) layout {
	var l layout
	for k, d := range shape {
		if d == 1 {
			continue
		}
		if n := len(l.shape) - 1; n >= 0 && l.first[n] == first[k]*d && l.second[n] == second[k]*d {
			l.shape[n], l.first[n], l.second[n] = l.shape[n]*d, first[k], second[k]
			continue
		}
		l.shape, l.first, l.second = append(l.shape, d), append(l.first, first[k]), append(l.second, second[k])
	}
	if len(l.shape) == 0 {
		l = layout{[]int{1}, []int{1}, []int{1}}
	}
	if len(l.shape) > 8 {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d axes that cannot be joined, want at most 8", len(l.shape))})
	}
	return l
}

func (l layout) size() int {
	n := 1
	for _, d := range l.shape {
		n *= d
	}
	return n
}

// axes copies a list into a kernel's.
func axes(list []int) (out [8]int64) {
	for i, v := range list {
		out[i] = int64(v)
	}
	return out
}
