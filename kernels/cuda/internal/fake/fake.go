//go:build cuda

// Package fake puts libraries of our own in the place of NVIDIA's, so that
// everything but the kernels' speed can be tested without a GPU: a libcuda whose
// device memory is the host's and whose kernels are functions, a cuBLASLt whose
// products are loops, and an NVRTC that compiles for the CPU. They are C sources,
// compiled with gcc by the test that wants them.
//
// They stand in for the rules as much as for the results: see src/device.c.
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
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"dpolab/kernels/cuda/internal/emulate"
)

//go:embed src
var sources embed.FS

// libraries are the names they get and their sources.
var libraries = map[string][]string{
	"libcuda.so.1":      {"device.c", "memory.c", "copy.c", "stream.c", "event.c", "module.c"},
	"libcublasLt.so.13": {"cublaslt.c"},
	"libnvrtc.so.13":    {"nvrtc.c"},
}

// variables name each library to the search.
var variables = map[string]string{"DPOLAB_LIBCUDA": "libcuda.so.1", "DPOLAB_CUBLASLT": "libcublasLt.so.13", "DPOLAB_NVRTC": "libnvrtc.so.13"}

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
	if err := os.CopyFS(dir, sources); err != nil {
		return "", err
	}
	if err := emulate.Unpack(filepath.Join(dir, "device")); err != nil {
		return "", err
	}
	for name, files := range libraries {
		args := []string{"-O3", "-march=native", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Werror", "-o", filepath.Join(dir, name)}
		for _, f := range files {
			args = append(args, filepath.Join(dir, "src", f))
		}
		if out, err := exec.Command("gcc", append(args, "-ldl", "-lpthread", "-lm")...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
}

// Environment is what makes a process find the libraries of Build, in the place
// of any others, and their kernels.
func Environment(dir string) ([]string, error) {
	kernels, err := emulate.Build("")
	if err != nil {
		return nil, err
	}
	env := []string{"FAKE_CUDA_KERNELS=" + kernels}
	for variable, name := range variables {
		env = append(env, variable+"="+filepath.Join(dir, name))
	}
	return env, nil
}

// Use makes this process find them.
func Use(dir string) error {
	env, err := Environment(dir)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		err = errors.Join(err, os.Setenv(name, value))
	}
	return err
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
