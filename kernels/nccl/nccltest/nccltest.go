// Package nccltest is an NCCL for tests: a library of our own, in C, that
// package nccl finds and loads as it does NVIDIA's, and whose ranks are threads
// of one or several processes on one machine without a GPU. It works on the
// streams of package queuetest.
//
//	dir, path, err := nccltest.Build()
//	os.Setenv("DPOLAB_NCCL", path)
//
// The environment variables NCCLTEST_HANG and NCCLTEST_FAIL, both RANK:CALL,
// make a rank hang or fail in one of its collectives.
package nccltest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed fake.c.txt
var source []byte

// Build compiles the library into a new folder, which the caller removes.
func Build() (dir, path string, err error) {
	if dir, err = os.MkdirTemp("", "nccltest"); err != nil {
		return "", "", err
	}
	file := filepath.Join(dir, "nccl.c")
	path = filepath.Join(dir, "libnccl.so.2")
	if err := os.WriteFile(file, source, 0o644); err != nil {
		return dir, "", err
	}
	out, err := exec.Command("gcc", "-std=gnu11", "-Wall", "-Werror", "-O1", "-g", "-shared", "-fPIC", "-pthread", "-o", path, file).CombinedOutput()
	if err != nil {
		return dir, "", fmt.Errorf("nccltest: gcc: %w\n%s", err, out)
	}
	return dir, path, nil
}

// Use builds the library, makes package nccl find it, and returns what removes
// it again; for TestMain.
func Use() (remove func()) {
	dir, path, err := Build()
	if err != nil {
		panic(err)
	}
	os.Setenv("DPOLAB_NCCL", path)
	return func() { os.RemoveAll(dir) }
}
