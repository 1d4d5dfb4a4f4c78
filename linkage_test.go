//go:build cuda

package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinkage asserts that the program names no NVIDIA library as needed and
// starts without one: those are found while it runs.
func TestLinkage(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "dpolab")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	needed, err := f.ImportedLibraries()
	if err != nil || len(needed) == 0 {
		t.Fatalf("needed libraries %v: %v", needed, err)
	}
	nvidia := regexp.MustCompile(`cuda|cublas|nccl|nvrtc|nvidia`)
	for _, name := range needed {
		if nvidia.MatchString(name) {
			t.Errorf("the program needs %s", name)
		}
	}
	imported, err := f.ImportedSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range imported {
		if regexp.MustCompile(`^(cu[A-Z]|cublas|nccl|nvrtc)`).MatchString(s.Name) {
			t.Errorf("the program expects someone to define %s", s.Name)
		}
	}

	cmd := exec.Command(bin, "devices")
	cmd.Env = append(os.Environ(), "DPOLAB_LIBCUDA=/absent/libcuda.so.1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("devices without a driver: %v\n%s", err, out)
	}
	for _, want := range []string{"cpu", "CUDA driver", "/absent/libcuda.so.1", "cuBLASLt", "NCCL", "NVRTC", "LD_LIBRARY_PATH"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("dpolab devices does not mention %s:\n%s", want, out)
		}
	}
}
