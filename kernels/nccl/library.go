// Package nccl runs collectives over NVIDIA's NCCL, one communicator per rank
// and group of ranks.
//
// The library is found and loaded while the program runs ([Open]); building
// needs neither it nor its header. Communicators never block their caller: a
// call that has to wait for other ranks is polled, so that [Comm.Abort], from
// any goroutine, ends it.
//
//	lib, err := nccl.Open()
//	id, err := lib.UniqueID()                    // on one rank; its bytes go to the others
//	c, err := lib.Join(id, size, rank, stop)     // on all ranks at once
//	err = c.Run(ops, stream)                     // handed to a stream, as one group
//
// # Threads
//
// NCCL computes on the device whose context is current on the calling thread:
// Join and Run are for a goroutine that is locked to its thread and has used
// its device there. All ranks must hand the same collectives to their streams
// in the same order.
//
// # Sums
//
// NCCL adds in the type it is given and in an order of its own, which depends
// on the number of ranks and how they are connected: results are the same in
// every run on the same machines, and not those of a sum in float32 in the
// order of the ranks.
//
// # Errors
//
// *[Error] names the call, NCCL's code and its own words for it.
package nccl

// #cgo LDFLAGS: -ldl
// #include "nccl.h"
// #include <stdlib.h>
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"dpolab/kernels/internal/find"
)

// Library is a loaded NCCL.
type Library struct {
	lib     *C.nccl_library
	path    string
	version int
}

// oldest is the first version with communicators that do not block.
const oldest = 21400

var (
	opening sync.Mutex
	opened  *Library
)

// Open finds and loads NCCL. The first library that can be loaded is kept for
// the life of the process.
func Open() (*Library, error) {
	opening.Lock()
	defer opening.Unlock()
	if opened != nil {
		return opened, nil
	}
	found := find.Search(find.NCCL)
	if len(found.Paths) == 0 {
		return nil, fmt.Errorf("nccl: %w", found.Missing())
	}
	var errs []error
	for _, path := range found.Paths {
		l, err := load(path)
		if err == nil {
			opened = l
			return l, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("nccl: %w", errors.Join(errs...))
}

func load(path string) (*Library, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var why [512]C.char
	lib := C.nccl_open(name, &why[0], C.size_t(len(why)))
	if lib == nil {
		return nil, errors.New(C.GoString(&why[0]))
	}
	l := &Library{lib: lib, path: path}
	var v C.int
	if code := C.nccl_version(lib, &v); code != C.nccl_success {
		return nil, l.failed("ncclGetVersion", code, nil)
	}
	if l.version = int(v); l.version < oldest {
		return nil, fmt.Errorf("%s: version %s, 2.14 or newer is needed", path, l.Version())
	}
	return l, nil
}

// Path is the file the library was loaded from.
func (l *Library) Path() string { return l.path }

// Version is "2.28.9".
func (l *Library) Version() string {
	return fmt.Sprintf("%d.%d.%d", l.version/10000, l.version/100%100, l.version%100)
}

// ID is what the ranks of a communicator share, made by one of them.
type ID [128]byte

// UniqueID makes the identifier of a new communicator.
func (l *Library) UniqueID() (ID, error) {
	var id C.nccl_id
	if code := C.nccl_unique_id(l.lib, &id); code != C.nccl_success {
		return ID{}, l.failed("ncclGetUniqueId", code, nil)
	}
	return ID(C.GoBytes(unsafe.Pointer(&id), C.int(len(ID{})))), nil
}

// Error is a call that NCCL refused, or that failed later.
type Error struct {
	Call string
	Code int
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s (NCCL error %d)", e.Call, e.Text, e.Code) }

func (l *Library) failed(call string, code C.int, comm C.nccl_comm) error {
	text := C.GoString(C.nccl_error(l.lib, code))
	if more := C.GoString(C.nccl_last_error(l.lib, comm)); more != "" {
		text += ": " + more
	}
	return &Error{Call: call, Code: int(code), Text: text}
}
