package tensor

import (
	"errors"
	"fmt"

	"dpolab/kernels"
)

// Error is what every operation panics with when it is misused (a wrong shape,
// type or device) or cannot be done (memory exhausted). It names the operation,
// what it wanted and what it got; Err is the cause where there is one.
type Error struct {
	Op        string
	Want, Got string
	Err       error
}

func (e *Error) Error() string {
	switch {
	case e.Err != nil && e.Got == "":
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	case e.Err != nil:
		return fmt.Sprintf("%s: want %s, got %s: %v", e.Op, e.Want, e.Got, e.Err)
	}
	return fmt.Sprintf("%s: want %s, got %s", e.Op, e.Want, e.Got)
}

func (e *Error) Unwrap() error { return e.Err }

// ErrOutOfMemory is wrapped by the Error of an operation that found no memory.
var ErrOutOfMemory = errors.New("out of memory")

// Try runs fn and returns the *Error it panicked with, if any. A backend's own
// failure becomes an *Error too; any other panic goes on.
func Try(fn func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *Error:
			err = p
		case *kernels.Error:
			err = &Error{Op: p.Op, Err: p.Err}
		default:
			panic(p)
		}
	}()
	fn()
	return nil
}

// fail panics with an *Error made of a wanted and a found description.
func fail(op, want, got string, args ...any) {
	panic(&Error{Op: op, Want: want, Got: fmt.Sprintf(got, args...)})
}
