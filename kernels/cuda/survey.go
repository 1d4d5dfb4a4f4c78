package cuda

import (
	"errors"
	"fmt"

	"dpolab/kernels/cuda/internal/blas"
	"dpolab/kernels/cuda/internal/driver"
	"dpolab/kernels/cuda/internal/nvrtc"
	"dpolab/kernels/internal/find"
)

// Survey says what the program can use of this machine's GPUs.
type Survey struct {
	GPUs      []driver.Info
	Libraries []Library
	Looked    []string // where libraries were looked for
}

// Library is one of NVIDIA's: where it was found and its version, or why it
// cannot be used.
type Library struct {
	Name, Needed  string
	Path, Version string
	Err           error
}

// Examine looks for GPUs and for every library, and loads what it finds.
func Examine() Survey {
	var s Survey
	loaded.Lock()
	err := loadDriver()
	cuda := Library{Name: find.CUDA.Name, Needed: find.CUDA.Needed, Err: err}
	if err == nil {
		v := loaded.driver.Version()
		cuda.Path, cuda.Version = loaded.path, fmt.Sprintf("CUDA %d.%d", v/1000, v%1000/10)
		s.GPUs, cuda.Err = describeGPUs()
	}
	loaded.Unlock()
	s.Looked = find.Search(find.CUBLASLt).Looked
	s.Libraries = append(s.Libraries, cuda,
		examine(find.CUBLASLt, func(path string) (string, error) {
			lib, err := blas.Load(path)
			if err != nil {
				return "", err
			}
			return lib.Version(), nil
		}),
		examine(find.NCCL, func(path string) (string, error) { return find.Version(path), nil }),
		examine(find.NVRTC, func(path string) (string, error) {
			lib, err := nvrtc.Load(path)
			if err != nil {
				return "", err
			}
			return lib.Version(), nil
		}))
	return s
}

// describeGPUs lists what the driver has; the lock is held.
func describeGPUs() ([]driver.Info, error) {
	n, err := loaded.driver.Count()
	var out []driver.Info
	for i := 0; err == nil && i < n; i++ {
		d := loaded.devices[i]
		if d == nil {
			if d, err = loaded.driver.Open(i); err != nil {
				break
			}
			loaded.devices[i] = d
		}
		out = append(out, d.Info())
	}
	return out, err
}

// examine takes the first candidate that can be opened.
func examine(l find.Library, open func(path string) (version string, err error)) Library {
	found := find.Search(l)
	out := Library{Name: l.Name, Needed: l.Needed}
	var errs []error
	for _, path := range found.Paths {
		version, err := open(path)
		if err == nil {
			out.Path, out.Version = path, version
			return out
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		errs = append(errs, fmt.Errorf("not found; %s", found.Advice()))
	}
	out.Err = errors.Join(errs...)
	return out
}
