// Package nvrtc compiles CUDA C with NVIDIA's run-time compiler, which it opens
// while the program runs, and keeps what it compiled on disk.
package nvrtc

// #include <stdlib.h>
// #include "nvrtc.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"dpolab/kernels/internal/dl"
)

// Library is an opened compiler.
type Library struct {
	lib  C.rtc_library
	path string
}

// functions are the library's, in the order of the fields of C.rtc_library, which has no
// others.
var functions = [...]string{
	"nvrtcVersion", "nvrtcCreateProgram", "nvrtcCompileProgram", "nvrtcDestroyProgram",
	"nvrtcGetProgramLogSize", "nvrtcGetProgramLog", "nvrtcGetCUBINSize", "nvrtcGetCUBIN",
	"nvrtcGetErrorString",
}

// The table and the structure have one length.
var _ = [1]int{}[len(functions)*8-int(unsafe.Sizeof(C.rtc_library{}))]

// Load opens the library at path.
func Load(path string) (*Library, error) {
	l := &Library{path: path}
	slots := (*[len(functions)]unsafe.Pointer)(unsafe.Pointer(&l.lib))
	if err := dl.Open(path, functions[:], slots[:]); err != nil {
		return nil, err
	}
	return l, nil
}

// Path is the file the library was opened from.
func (l *Library) Path() string { return l.path }

// Version is the compiler's: "13.0".
func (l *Library) Version() string {
	var major, minor C.int
	if C.rtc_version(&l.lib, &major, &minor) != 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d", major, minor)
}

// Error is a text that does not compile. Log holds the compiler's own words,
// with the name and the lines of the text.
type Error struct {
	Name, Log string
}

func (e *Error) Error() string { return strings.TrimSpace(e.Log) }

// Compile compiles a text of the given name for an architecture such as
// "sm_90a" into what the driver loads.
func (l *Library) Compile(name, source, arch string) ([]byte, error) {
	options := []string{"--gpu-architecture=" + arch, "--std=c++17", "--extra-device-vectorization"}
	argv := (*[8]*C.char)(C.calloc(8, C.size_t(unsafe.Sizeof((*C.char)(nil)))))
	defer C.free(unsafe.Pointer(argv))
	for i, o := range options {
		argv[i] = C.CString(o)
		defer C.free(unsafe.Pointer(argv[i]))
	}
	cname, csource := C.CString(name), C.CString(source)
	defer C.free(unsafe.Pointer(cname))
	defer C.free(unsafe.Pointer(csource))
	var r C.rtc_result
	code := C.rtc_compile(&l.lib, cname, csource, C.int(len(options)), &argv[0], &r)
	defer C.rtc_release(&r)
	if code == 0 {
		return C.GoBytes(unsafe.Pointer(r.image), C.int(r.size)), nil
	}
	if log := C.GoString(r.log); strings.TrimSpace(log) != "" {
		return nil, &Error{name, log}
	}
	return nil, fmt.Errorf("NVRTC: %s (code %d)", C.GoString(C.rtc_text(&l.lib, code)), int(code))
}
