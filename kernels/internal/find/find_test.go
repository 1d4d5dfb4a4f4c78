package find

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lone points every place that can be pointed at an empty folder.
func lone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, v := range []string{"LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PATH", CUBLASLt.Variable} {
		t.Setenv(v, "")
	}
	t.Setenv("HOME", dir)
	return dir
}

func touch(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSearch(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(t *testing.T, dir string) (want string)
	}{
		{"library path", func(t *testing.T, dir string) string {
			t.Setenv("LD_LIBRARY_PATH", "/nowhere:"+dir+"/a")
			return touch(t, dir+"/a/libcublasLt.so.12")
		}},
		{"highest version, names that are none left out", func(t *testing.T, dir string) string {
			t.Setenv("LD_LIBRARY_PATH", dir)
			touch(t, dir+"/libcublasLt.so.9.2")
			touch(t, dir+"/libcublasLt.so.bak")
			return touch(t, dir+"/libcublasLt.so.12.1")
		}},
		{"library path before toolkit", func(t *testing.T, dir string) string {
			t.Setenv("LD_LIBRARY_PATH", dir)
			t.Setenv("CUDA_HOME", dir+"/cuda")
			touch(t, dir+"/cuda/lib64/libcublasLt.so.13")
			return touch(t, dir+"/libcublasLt.so.12")
		}},
		{"toolkit", func(t *testing.T, dir string) string {
			t.Setenv("CUDA_HOME", dir+"/cuda")
			return touch(t, dir+"/cuda/lib64/libcublasLt.so.13")
		}},
		{"wheel of an environment", func(t *testing.T, dir string) string {
			t.Setenv("VIRTUAL_ENV", dir)
			return touch(t, dir+"/lib/python3.12/site-packages/nvidia/cublas/lib/libcublasLt.so.12")
		}},
		{"wheel of CUDA 13, by the interpreter on PATH", func(t *testing.T, dir string) string {
			t.Setenv("PATH", dir+"/bin")
			touch(t, dir+"/bin/python3")
			return touch(t, dir+"/lib/python3.12/site-packages/nvidia/cu13/lib/libcublasLt.so.13")
		}},
		{"the user's own packages", func(t *testing.T, dir string) string {
			return touch(t, dir+"/.local/lib/python3.11/site-packages/nvidia/cublas/lib/libcublasLt.so.12")
		}},
		{"a named file alone", func(t *testing.T, dir string) string {
			t.Setenv("LD_LIBRARY_PATH", dir)
			touch(t, dir+"/libcublasLt.so.12")
			t.Setenv(CUBLASLt.Variable, dir+"/mine")
			return touch(t, dir+"/mine")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.setup(t, lone(t))
			got := Search(CUBLASLt)
			if len(got.Paths) == 0 || got.Paths[0] != want {
				t.Errorf("found %v, want %s first", got.Paths, want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	dir := lone(t)
	t.Setenv("LD_LIBRARY_PATH", dir)
	t.Setenv(CUBLASLt.Variable, dir+"/absent")
	r := Search(CUBLASLt)
	if len(r.Paths) != 0 || !strings.Contains(r.Missing().Error(), dir+"/absent") {
		t.Errorf("%v, %v: want nothing and where was looked", r.Paths, r.Missing())
	}
	t.Setenv(CUBLASLt.Variable, "")
	message := Search(Library{Name: "none", File: "libno_such_library.so", Variable: "DPOLAB_NONE"}).Missing().Error()
	for _, want := range []string{"LD_LIBRARY_PATH", "CUDA_HOME", "/usr/local/cuda", "VIRTUAL_ENV", "site-packages/nvidia"} {
		if !strings.Contains(message, want) {
			t.Errorf("%q does not say that %s was looked in", message, want)
		}
	}
}

func TestVersion(t *testing.T) {
	dir := t.TempDir()
	real := touch(t, dir+"/libnccl.so.2.28.9")
	link := dir + "/libnccl.so.2"
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if got := Version(link); got != "2.28.9" {
		t.Errorf("version %q of a link to %s", got, real)
	}
	if got := Version(dir + "/libnccl.so"); got != "" {
		t.Errorf("version %q of a name without one", got)
	}
}
