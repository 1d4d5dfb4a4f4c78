package cuda

import (
	"errors"
	"fmt"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/driver"
	"dpolab/kernels/cuda/internal/nvrtc"
	"dpolab/kernels/internal/find"
)

var _ kernels.Compiler = (*Backend)(nil)

// program is a compiled text of a user's.
type program struct {
	b         *Backend
	module    driver.Module
	functions map[string]*function
}

// openNVRTC loads the newest compiler that can be opened. It is the process's.
func openNVRTC() (*nvrtc.Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.nvrtc != nil {
		return loaded.nvrtc, nil
	}
	found := find.Search(find.NVRTC)
	var errs []error
	for _, path := range found.Paths {
		lib, err := nvrtc.Load(path)
		if err == nil {
			loaded.nvrtc = lib
			return lib, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, found.Missing()
	}
	return nil, errors.Join(errs...)
}

// architecture is what kernels are compiled for: the exact chip.
func (b *Backend) architecture() string {
	if b.info.Major == 9 && b.info.Minor == 0 {
		return "sm_90a" // with Hopper's own instructions
	}
	return fmt.Sprintf("sm_%d%d", b.info.Major, b.info.Minor)
}

// Compile compiles CUDA C with NVRTC for this chip. What was compiled before is
// read from disk.
func (b *Backend) Compile(name, source string) (kernels.Program, error) {
	lib, err := openNVRTC()
	if err != nil {
		return nil, err
	}
	image, err := lib.Cached(name, source, b.architecture())
	if err != nil {
		return nil, err
	}
	m, err := b.gpu.LoadModule(image)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", b.dev, name, err)
	}
	b.compiled = append(b.compiled, m)
	return &program{b, m, map[string]*function{}}, nil
}

func (p *program) Launch(kernel string, grid [3]int, threads, shared int, params []byte) {
	f := p.functions[kernel]
	if f == nil {
		handle, err := p.module.Function(kernel)
		p.b.check(kernel, err)
		f = &function{handle, p.b.info.SharedMemoryPerBlock, "custom"}
		p.functions[kernel] = f
	}
	p.b.start(p.b.stream, kernel, f, grid, threads, shared, unsafe.Pointer(unsafe.SliceData(params)), uintptr(len(params)))
}
