// Package errors has the generic part of errors, in source that cells can
// instantiate.
package errors

import (
	"errors"
	"reflect"
)

// AsType returns the first error of type E in the tree of err.
func AsType[E error](err error) (E, bool) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		found, ok := e.(E)
		if ok {
			return found, true
		}
	}
	var target E
	// A type declared in a cell has no methods for reflection, and As would
	// panic.
	isError := reflect.TypeOf(&target).Elem().Implements(reflect.TypeOf(&err).Elem())
	ok := err != nil && isError && errors.As(err, &target)
	return target, ok
}
