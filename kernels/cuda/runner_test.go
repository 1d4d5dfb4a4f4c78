//go:build cuda

package cuda

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dpolab/kernels/cuda/internal/fake"
	"dpolab/kernels/nccl/nccltest"
)

// sanitizer stands in for compute-sanitizer: it takes its options and runs what
// it was given.
const sanitizer = `#!/bin/sh
[ "$1" = --tool ] && [ "$3" = --error-exitcode ] || exit 3
shift 4
exec "$@"
`

// TestRunner makes what make test-cuda carries to a machine with a GPU, and runs
// it on the fake one: all parts, with less in each.
func TestRunner(t *testing.T) {
	if onGPU {
		t.Skip("this is a part of it")
	}
	set, bin := t.TempDir(), t.TempDir()
	out, err := exec.Command("make", "-C", "../..", "--no-print-directory", "test-cuda-set", "TEST_CUDA="+set).CombinedOutput()
	if err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	if n := folderSize(t, set); n > 50<<20 {
		t.Errorf("%s in the set, want at most 50 MiB", size(n))
	}
	if err := os.WriteFile(filepath.Join(bin, "compute-sanitizer"), []byte(sanitizer), 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := fake.Build()
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := fake.Environment(dir)
	if err != nil {
		t.Fatal(err)
	}
	folder, library, err := nccltest.Build()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	libraries = append(libraries, "DPOLAB_NCCL="+library, "XDG_CACHE_HOME="+t.TempDir())
	const all = "machine kernels flash memory custom models parity training ranks collectives nccl memcheck racecheck initcheck"
	// The folder of make and go is left out: a machine with a GPU has neither.
	bare := "PATH=/usr/bin:/bin"
	for _, c := range []struct {
		name   string
		env    []string
		args   []string
		want   string // states of the parts that run, in order
		status int
		says   string
	}{
		{"all", []string{"PATH=" + bin + ":/usr/bin:/bin"}, nil, strings.Repeat("ok ", 14), 0, "Fake GPU 1"},
		{"libraries missing", []string{bare, "CUDA_HOME=/nowhere", "DPOLAB_NVRTC=/nowhere", "DPOLAB_NCCL=/nowhere"}, []string{"custom", "nccl"}, "absent absent ", 0, "looked in DPOLAB_NVRTC=/nowhere"},
		{"an older chip", []string{bare, "FAKE_CUDA_CAPABILITY=75"}, []string{"flash", "nccl"}, "failed ok ", 1, "no such kernel for compute capability 7.5"},
		{"no GPU", []string{bare, "DPOLAB_LIBCUDA=/nowhere"}, nil, "failed ", 1, "libcuda.so) was not found, looked in DPOLAB_LIBCUDA=/nowhere"},
		{"no such part", []string{bare}, []string{"nonsense"}, "", 1, "no part nonsense, have " + all},
		{"no such option", []string{bare}, []string{"--nonsense"}, "", 2, "run [--quick] [PART...]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(filepath.Join(set, "run"), append([]string{"--quick"}, c.args...)...)
			cmd.Env = append(append(os.Environ(), libraries...), c.env...)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() != c.status || err != nil && exit == nil || err == nil && c.status != 0 {
				t.Errorf("%v, want status %d", err, c.status)
			}
			states := ""
			for line := range bytes.Lines(out) {
				if f := strings.Fields(string(line)); len(f) > 1 && line[0] != ' ' && strings.Contains(" "+all+" ", " "+f[0]+" ") {
					states += f[1] + " "
				}
			}
			if states != c.want || !strings.Contains(string(out), c.says) {
				t.Errorf("parts are %q, want %q and %q in\n%s", states, c.want, c.says, out)
			}
		})
	}
}

func folderSize(t *testing.T, dir string) (n int64) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
