// Package errors has the generic part of errors, in source that cells can
// instantiate.
package errors

import "errors"

// AsType returns the first error of type E in the tree of err.
func AsType[E error](err error) (E, bool) {
	var target E
	ok := err != nil && errors.As(err, &target)
	return target, ok
}
