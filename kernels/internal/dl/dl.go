// Package dl opens shared libraries while the program runs and finds their
// functions.
package dl

// #cgo LDFLAGS: -ldl
// #include <dlfcn.h>
// #include <stdlib.h>
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Open opens the library at path, for its own symbols only, and stores the
// address of each named function in slots, in order. All must be there. The
// library stays open.
func Open(path string, names []string, slots []unsafe.Pointer) error {
	if len(names) != len(slots) {
		return fmt.Errorf("%s: %d functions for %d places", path, len(names), len(slots))
	}
	file := C.CString(path)
	defer C.free(unsafe.Pointer(file))
	library := C.dlopen(file, C.RTLD_NOW|C.RTLD_LOCAL)
	if library == nil {
		return errors.New(C.GoString(C.dlerror()))
	}
	for i, name := range names {
		symbol := C.CString(name)
		slots[i] = C.dlsym(library, symbol)
		C.free(unsafe.Pointer(symbol))
		if slots[i] == nil {
			return fmt.Errorf("%s: no function %s", path, name)
		}
	}
	return nil
}
