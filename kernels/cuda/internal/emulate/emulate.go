// Package emulate compiles CUDA C for the CPU, so that kernels can be tested
// where there is no GPU.
//
// device/emulate.h takes the place of the hardware: the threads of a block are
// fibers that meet at barriers and warp-wide operations, tensor-core
// instructions included. What that finds and what it cannot find is said
// there. Timings mean nothing.
//
// A compiled library exports, for each kernel NAME,
//
//	void emulate_NAME(unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned shared, const void *args)
//
// where args holds the parameters as CUDA packs them, and
//
//	const char *emulate_error(void)
//
// which says what went wrong since it was last asked, or "". Only tests use
// this package.
package emulate

// #cgo LDFLAGS: -ldl
// #include <dlfcn.h>
// #include <stdlib.h>
//
// typedef void (*kernel)(unsigned, unsigned, unsigned, unsigned, unsigned, const void *);
// static void call(void *f, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned shared, const void *args) {
//	((kernel)f)(x, y, z, threads, shared, args);
// }
// static const char *error_of(void *f) { return ((const char *(*)(void))f)(); }
import "C"

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"unsafe"

	"dpolab/kernels/cuda/src"
)

var (
	//go:embed device/emulate.h
	header string
	//go:embed device/emulate.cc
	scheduler string
)

// options are the compiler's. Products and sums are not contracted, so that
// results do not depend on the machine.
var options = []string{"-std=c++17", "-O2", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing", "-fvisibility=default", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused"}

// Build compiles the backend's own kernels into dir, or into a folder of the
// user's cache if dir is empty, and returns the library's path. A library of
// the same sources that is there already is used again.
func Build(dir string) (string, error) {
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		dir = filepath.Join(cache, "dpolab", "emulate")
	}
	units := map[string]string{}
	for _, m := range src.Modules() {
		text, err := src.Module(m)
		if err != nil {
			return "", err
		}
		kernels, err := src.Kernels(m)
		if err != nil {
			return "", err
		}
		units[m] = unit(text, kernels)
	}
	so, log, err := compile(dir, "kernels", units)
	if err == nil && log != "" {
		err = errors.New("the compiler has remarks")
	}
	if err != nil {
		return "", fmt.Errorf("%w:\n%s", err, log)
	}
	return so, nil
}

// Unpack writes the emulation's own sources, emulate.h and emulate.cc, to dir,
// for compilers that are called by others.
func Unpack(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "emulate.h"), []byte(header), 0o644),
		os.WriteFile(filepath.Join(dir, "emulate.cc"), []byte(scheduler), 0o644))
}

// defined finds the kernels of other text.
var defined = regexp.MustCompile(`__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(`)

// Compile compiles CUDA C text from anywhere into dir. Its kernels may have
// any parameters. log is what the compiler said; err is set if it failed.
func Compile(dir, name, source string) (so, log string, err error) {
	var kernels []string
	for _, m := range defined.FindAllStringSubmatch(source, -1) {
		kernels = append(kernels, m[1])
	}
	return compile(dir, name, map[string]string{name: unit(fmt.Sprintf("#line 1 \"%s\"\n%s", name, source), kernels)})
}

// unit is a file to compile: the text and an export for each kernel.
func unit(text string, kernels []string) string {
	var b strings.Builder
	b.WriteString("#include \"emulate.h\"\n")
	b.WriteString(text)
	b.WriteString("\n#line 1 \"exports\"\n")
	for _, k := range kernels {
		fmt.Fprintf(&b, "EMULATED(%s)\n", k)
	}
	return b.String()
}

func compile(dir, name string, units map[string]string) (so, log string, err error) {
	hash := sha256.New()
	fmt.Fprint(hash, header, scheduler, options, units) // maps print in order
	dir = filepath.Join(dir, fmt.Sprintf("%s-%x", name, hash.Sum(nil)[:8]))
	so = filepath.Join(dir, name+".so")
	if _, err := os.Stat(so); err == nil {
		return so, "", nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", err
	}
	work, err := os.MkdirTemp(dir, "build")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(work)
	units["scheduler of the emulation"] = scheduler
	if err := os.WriteFile(filepath.Join(work, "emulate.h"), []byte(header), 0o644); err != nil {
		return "", "", err
	}
	var (
		objects []string
		logs    []string
		failed  error
		mu      sync.Mutex
		wait    sync.WaitGroup
		turns   = make(chan bool, 4)
	)
	i := 0
	for _, text := range units {
		base := filepath.Join(work, fmt.Sprint("unit", i))
		i++
		objects = append(objects, base+".o")
		wait.Go(func() {
			turns <- true
			defer func() { <-turns }()
			out, err := []byte(nil), os.WriteFile(base+".cc", []byte(text), 0o644)
			if err == nil {
				out, err = exec.Command("g++", append(options, "-c", base+".cc", "-o", base+".o")...).CombinedOutput()
			}
			mu.Lock()
			defer mu.Unlock()
			logs = append(logs, string(out))
			failed = errors.Join(failed, err)
		})
	}
	wait.Wait()
	log = strings.Join(logs, "")
	if failed != nil {
		return "", log, fmt.Errorf("g++: %w", failed)
	}
	half := filepath.Join(work, name+".so")
	out, err := exec.Command("g++", append([]string{"-shared", "-o", half}, objects...)...).CombinedOutput()
	if err != nil {
		return "", log + string(out), fmt.Errorf("g++: %w", err)
	}
	if err := os.Rename(half, so); err != nil { // whole or not at all, whoever else builds
		return "", log, err
	}
	return so, log, nil
}

// Library is a compiled and loaded set of kernels.
type Library struct {
	mu     sync.Mutex // blocks and threads are numbered in variables
	handle unsafe.Pointer
	failed unsafe.Pointer
	found  map[string]unsafe.Pointer
}

// Open loads a library that Build or Compile made.
func Open(so string) (*Library, error) {
	name := C.CString(so)
	defer C.free(unsafe.Pointer(name))
	handle := C.dlopen(name, C.RTLD_NOW|C.RTLD_LOCAL)
	if handle == nil {
		return nil, errors.New(C.GoString(C.dlerror()))
	}
	l := &Library{handle: handle, found: map[string]unsafe.Pointer{}}
	if l.failed = l.symbol("emulate_error"); l.failed == nil {
		return nil, fmt.Errorf("%s is no emulation", so)
	}
	return l, nil
}

func (l *Library) symbol(name string) unsafe.Pointer {
	if p, ok := l.found[name]; ok {
		return p
	}
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	l.found[name] = C.dlsym(l.handle, c)
	return l.found[name]
}

// Launch runs a kernel to its end. args points to its packed parameters.
func (l *Library) Launch(kernel string, grid [3]int, threads, shared int, args unsafe.Pointer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.symbol("emulate_" + kernel)
	if f == nil {
		return fmt.Errorf("no kernel %s", kernel)
	}
	C.call(f, C.uint(grid[0]), C.uint(grid[1]), C.uint(grid[2]), C.uint(threads), C.uint(shared), args)
	if message := C.GoString(C.error_of(l.failed)); message != "" {
		return errors.New(message)
	}
	return nil
}
