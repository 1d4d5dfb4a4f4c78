package cuda

import (
	"fmt"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/driver"
	"dpolab/kernels/cuda/ptx"
)

// maxArguments is the size of the largest argument structure.
const maxArguments = 4096

// function is a kernel, the shared memory it may use, and the file of src/ that
// holds it.
type function struct {
	driver.Function
	shared int
	family string
}

// launch queues a kernel whose one parameter is the structure at args, which
// may change as soon as launch returns.
func (b *Backend) launch(kernel string, grid [3]int, threads, shared int, args unsafe.Pointer, size uintptr) {
	b.start(b.stream, kernel, b.function(kernel), grid, threads, shared, args, size)
}

// start queues a kernel that is loaded in a stream.
func (b *Backend) start(stream driver.Stream, kernel string, f *function, grid [3]int, threads, shared int, args unsafe.Pointer, size uintptr) {
	if grid[0] == 0 || grid[1] == 0 || grid[2] == 0 {
		return
	}
	if shared > f.shared {
		b.check(kernel, b.gpu.AllowShared(f.Function, shared))
		f.shared = shared
	}
	if size > maxArguments {
		panic(&kernels.Error{Op: kernel, Err: fmt.Errorf("%d bytes of arguments, want at most %d", size, maxArguments)})
	}
	copy(b.packed[:], unsafe.Slice((*byte)(args), size))
	b.check(kernel, b.before(stream))
	b.check(kernel, stream.Launch(f.Function, grid, threads, shared, unsafe.Pointer(b.packed), int(size)))
	b.check(kernel, b.after(stream, func() kernels.Work { return kernels.Work{Family: f.family, Name: kernel} }))
}

// function finds a kernel by name and loads its module when it is first used.
func (b *Backend) function(kernel string) *function {
	if f := b.functions[kernel]; f != nil {
		return f
	}
	name, image, ok := ptx.Find(kernel, b.info.Major, b.info.Minor)
	if !ok {
		panic(&kernels.Error{Op: kernel, Err: fmt.Errorf("no such kernel for compute capability %d.%d", b.info.Major, b.info.Minor)})
	}
	if b.modules[name] == nil {
		m, err := b.gpu.LoadModule(image)
		b.check("load "+name, err)
		b.modules[name] = m
	}
	f, err := b.modules[name].Function(kernel)
	b.check("load "+name, err)
	b.functions[kernel] = &function{f, b.info.SharedMemoryPerBlock, name}
	return b.functions[kernel]
}
