// Package find searches this machine for NVIDIA's libraries. Nothing is linked
// against them, so where they are is found while the program runs: none, some
// or several versions of each may be there.
//
// # Where
//
// In this order: a file named by an environment variable of the library's own
// (DPOLAB_LIBCUDA, DPOLAB_CUBLASLT, DPOLAB_NCCL, DPOLAB_NVRTC), which then is the
// only candidate; the folders of LD_LIBRARY_PATH; lib64 and its like under
// CUDA_HOME and CUDA_PATH; /usr/local/cuda and /usr/local/cuda-*; the nvidia
// folders of Python environments, where the wheels that come with PyTorch put
// them (VIRTUAL_ENV, CONDA_PREFIX, the interpreters on PATH, the user's own
// packages); the system's library folders; and what the dynamic linker knows.
// Within one folder the highest version comes first.
package find

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Library is one to look for.
type Library struct {
	Name     string // as people say: "cuBLASLt"
	File     string // "libcublasLt.so"
	Variable string // names a file and ends the search
	Needed   string // what it is needed for
	Package  string // the Python package that holds it, for advice
}

// The libraries that the program can use.
var (
	CUDA     = Library{"CUDA driver", "libcuda.so", "DPOLAB_LIBCUDA", "any GPU", ""}
	CUBLASLt = Library{"cuBLASLt", "libcublasLt.so", "DPOLAB_CUBLASLT", "matrix products", "nvidia-cublas"}
	NCCL     = Library{"NCCL", "libnccl.so", "DPOLAB_NCCL", "several GPUs", "nvidia-nccl"}
	NVRTC    = Library{"NVRTC", "libnvrtc.so", "DPOLAB_NVRTC", "kernels written in cells", "nvidia-cuda-nvrtc"}
)

// Result is what a search has found.
type Result struct {
	Library
	// Paths are the candidates, best first. The last may be a bare name, for
	// the dynamic linker to find.
	Paths []string
	// Looked are the places that were looked in, whether or not they exist.
	Looked []string
}

// Search looks for a library.
func Search(l Library) Result {
	r := Result{Library: l}
	if path := os.Getenv(l.Variable); path != "" {
		r.Looked = []string{l.Variable + "=" + path}
		if _, err := os.Stat(path); err == nil {
			r.Paths = []string{path}
		}
		return r
	}
	seen := map[string]bool{}
	for _, p := range places() {
		r.Looked = append(r.Looked, p.String())
		for _, dir := range p.folders() {
			for _, path := range versions(dir, l.File) {
				real, err := filepath.EvalSymlinks(path)
				if err == nil && !seen[real] {
					seen[real] = true
					r.Paths = append(r.Paths, path)
				}
			}
		}
	}
	r.Looked = append(r.Looked, "the dynamic linker's own folders")
	if l == CUDA { // the one whose soname never changes
		r.Paths = append(r.Paths, l.File+".1")
	}
	return r
}

// Missing is an error that says where was looked.
func (r Result) Missing() error {
	return fmt.Errorf("%s (%s) was not found, looked in %s; %s", r.Name, r.File, strings.Join(r.Looked, ", "), r.Advice())
}

// Advice says how the library is come by.
func (r Result) Advice() string {
	if r.Package == "" {
		return "it comes with NVIDIA's driver, " + r.Variable + " may name the file"
	}
	return fmt.Sprintf("the Python package %s-cu12 or -cu13 holds it, %s may name the file", r.Package, r.Variable)
}

// place is a variable or pattern that names folders.
type place struct {
	name  string // of the variable; empty for a plain folder
	globs []string
}

func (p place) String() string {
	if p.name == "" {
		return p.globs[0]
	}
	if len(p.globs) == 0 {
		return p.name + " (not set)"
	}
	return p.name
}

// folders are the existing ones.
func (p place) folders() []string {
	var out []string
	for _, g := range p.globs {
		found, _ := filepath.Glob(g)
		slices.SortFunc(found, func(a, b string) int { return compareVersions(b, a) })
		out = append(out, found...)
	}
	return out
}

// machine is the folder name that Debian and CUDA give this processor.
func machine() (triplet, target string) {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu", "sbsa-linux"
	}
	return "x86_64-linux-gnu", "x86_64-linux"
}

func places() []place {
	triplet, target := machine()
	var out []place
	fromVariable := func(name string, under ...string) {
		p := place{name: name}
		for _, dir := range filepath.SplitList(os.Getenv(name)) {
			if dir == "" {
				continue
			}
			for _, u := range under {
				p.globs = append(p.globs, filepath.Join(dir, u))
			}
		}
		out = append(out, p)
	}
	toolkit := []string{"lib64", "lib", "targets/" + target + "/lib", "compat"}
	fromVariable("LD_LIBRARY_PATH", "")
	fromVariable("CUDA_HOME", toolkit...)
	fromVariable("CUDA_PATH", toolkit...)
	for _, root := range []string{"/usr/local/cuda", "/usr/local/cuda-*"} {
		p := place{}
		for _, t := range toolkit {
			p.globs = append(p.globs, filepath.Join(root, t))
		}
		out = append(out, p)
	}
	wheels := []string{"lib/python3*/site-packages/nvidia/*/lib"}
	fromVariable("VIRTUAL_ENV", wheels...)
	fromVariable("CONDA_PREFIX", append(wheels, "lib")...)
	out = append(out, place{name: "Python on PATH", globs: pythons()})
	for _, g := range []string{"/usr/local/lib/python3*/dist-packages/nvidia/*/lib", "/usr/local/lib/python3*/site-packages/nvidia/*/lib",
		"/usr/lib/python3*/dist-packages/nvidia/*/lib", "/opt/conda/lib/python3*/site-packages/nvidia/*/lib"} {
		out = append(out, place{globs: []string{g}})
	}
	if home, err := os.UserHomeDir(); err == nil {
		out = append(out, place{globs: []string{filepath.Join(home, ".local/lib/python3*/site-packages/nvidia/*/lib")}})
	}
	for _, dir := range []string{"/usr/lib/" + triplet, "/lib/" + triplet, "/usr/lib64", "/usr/lib", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib", "/usr/local/lib", "/run/opengl-driver/lib"} {
		out = append(out, place{globs: []string{dir}})
	}
	return out
}

// pythons are the wheel folders of the environments whose interpreters PATH names.
func pythons() []string {
	var out []string
	for _, bin := range filepath.SplitList(os.Getenv("PATH")) {
		for _, name := range []string{"python3", "python"} {
			if _, err := os.Stat(filepath.Join(bin, name)); err == nil {
				out = append(out, filepath.Join(filepath.Dir(bin), "lib/python3*/site-packages/nvidia/*/lib"))
				break
			}
		}
	}
	return out
}

// versions lists a library's files in a folder, the highest version first.
func versions(dir, file string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, file+"*"))
	found = slices.DeleteFunc(found, func(path string) bool {
		rest := strings.TrimPrefix(filepath.Base(path), file)
		info, err := os.Stat(path)
		return err != nil || info.IsDir() || rest != "" && Version(path) == "" // libcublasLt.so.12.4 but not libcublasLt.so.bak
	})
	slices.SortFunc(found, func(a, b string) int { return compareVersions(Version(b), Version(a)) })
	return found
}

// Version is what a library's file name says, links resolved: "12.4.5.8", or
// "" if it says nothing.
func Version(path string) string {
	best := ""
	names := []string{path}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		names = append(names, real)
	}
	for _, name := range names {
		_, after, ok := strings.Cut(filepath.Base(name), ".so.")
		if ok && strings.Trim(after, "0123456789.") == "" && len(after) > len(best) {
			best = after
		}
	}
	return best
}

// compareVersions orders by the numbers in two names.
func compareVersions(a, b string) int {
	numbers := func(s string) []int {
		var out []int
		for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
			n, _ := strconv.Atoi(f)
			out = append(out, n)
		}
		return out
	}
	return cmp.Or(slices.Compare(numbers(a), numbers(b)), strings.Compare(a, b))
}
