//go:build cuda

// Package fake puts libraries of our own in the place of NVIDIA's, so that
// everything but the kernels' speed can be tested without a GPU: a libcuda whose
// device memory is the host's and whose kernels are functions, and a cuBLASLt
// whose products are loops. They are C sources, compiled with gcc by the test
// that wants them.
//
// They stand in for the rules as much as for the results: see src/cuda.c.
package fake

// #cgo LDFLAGS: -ldl
// #include <dlfcn.h>
// #include <stdlib.h>
// static void report(const char *path, char *text, int size) {
//	void *lib = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
//	void (*fn)(char *, int) = lib ? (void (*)(char *, int))dlsym(lib, "fake_report") : 0;
//	if (fn) fn(text, size);
// }
// static void reset(const char *path) {
//	void *lib = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
//	void (*fn)(void) = lib ? (void (*)(void))dlsym(lib, "fake_reset") : 0;
//	if (fn) fn();
// }
import "C"

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"dpolab/kernels/cuda/internal/emulate"
)

//go:embed src
var sources embed.FS

// libraries are the sources and the names they get.
var libraries = map[string]string{
	"cuda.c":     "libcuda.so.1",
	"cublaslt.c": "libcublasLt.so.13",
}

var built struct {
	sync.Mutex
	dir string
	err error
}

// Build compiles the libraries, once in a process, and returns their folder.
// It stays until the process ends: a library that is loaded cannot be removed.
func Build() (string, error) {
	built.Lock()
	defer built.Unlock()
	if built.dir == "" && built.err == nil {
		built.dir, built.err = build()
	}
	return built.dir, built.err
}

func build() (string, error) {
	dir, err := os.MkdirTemp("", "fakegpu")
	if err != nil {
		return "", err
	}
	src := filepath.Join(dir, "src")
	if err := os.CopyFS(dir, sources); err != nil {
		return "", err
	}
	for from, to := range libraries {
		cmd := exec.Command("gcc", "-O3", "-march=native", "-shared", "-fPIC", "-Wall", "-Werror", "-I", src, "-o", filepath.Join(dir, to), filepath.Join(src, from), "-ldl", "-lpthread", "-lm")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", from, err, out)
		}
	}
	return dir, nil
}

// Use makes this process find the libraries of Build, in the place of any
// others.
func Use(dir string) error {
	kernels, err := emulate.Build("")
	if err != nil {
		return err
	}
	if err := os.Setenv("FAKE_CUDA_KERNELS", kernels); err != nil {
		return err
	}
	for variable, name := range map[string]string{"DPOLAB_LIBCUDA": "libcuda.so.1", "DPOLAB_CUBLASLT": "libcublasLt.so.13"} {
		if err := os.Setenv(variable, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Install builds the libraries and makes this process use them, until it ends.
func Install(t testing.TB) {
	t.Helper()
	dir, err := Build()
	if err == nil {
		err = Use(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Held is what the process holds of the driver: allocations, streams, events.
func Held() string {
	path, text := C.CString(driverPath()), (*C.char)(C.calloc(1, 256))
	defer C.free(unsafe.Pointer(path))
	defer C.free(unsafe.Pointer(text))
	C.report(path, text, 256)
	return C.GoString(text)
}

// Forget takes back a failure of queued work, which the real driver does not.
func Forget() {
	path := C.CString(driverPath())
	defer C.free(unsafe.Pointer(path))
	C.reset(path)
}

func driverPath() string { return os.Getenv("DPOLAB_LIBCUDA") }
