package nvrtc

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"dpolab/kernels/internal/find"
)

// TestCompile uses NVIDIA's compiler, which needs no GPU, where it is found.
func TestCompile(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	found := find.Search(find.NVRTC)
	if len(found.Paths) == 0 {
		t.Skip(found.Missing())
	}
	l, err := Load(found.Paths[0])
	if err != nil {
		t.Fatal(err)
	}
	const good = "extern \"C\" __global__ void twice(const float *x, float *y, long long n) {\n" +
		"\tlong long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;\n\tif (i < n) y[i] = 2 * x[i];\n}\n"
	first, err := l.Cached("cell.cu", good, "sm_80")
	if err != nil || !bytes.HasPrefix(first, []byte("\x7fELF")) {
		t.Fatalf("%d bytes, %v: want a cubin", len(first), err)
	}
	again, err := l.Cached("cell.cu", good, "sm_80")
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second time %d bytes, %v", len(again), err)
	}
	_, err = l.Cached("cell.cu", strings.Replace(good, "2 * x", "2 * z", 1), "sm_80")
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "cell.cu(3)") || !strings.Contains(err.Error(), `"z"`) {
		t.Errorf("error %v, want the compiler's, of line 3", err)
	}
}

func TestAbsent(t *testing.T) {
	path := t.TempDir() + "/libnvrtc.so"
	if err := os.WriteFile(path, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names the file", err)
	}
}
