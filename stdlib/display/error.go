package display

import "fmt"

// Error is what the package raises: which call, and in one line what was
// expected and what was found.
type Error struct {
	Op  string
	err error
}

// Error is one line: "display.Table.Row: want 3 cells, got 2".
func (e *Error) Error() string { return "display." + e.Op + ": " + e.err.Error() }

// Unwrap gives the cause, for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.err }

func check(op string, err error) {
	if err != nil {
		panic(&Error{op, err})
	}
}

// refuse raises a wrong argument.
func refuse(op, want, got string, args ...any) {
	panic(&Error{op, fmt.Errorf("want %s, got %s", want, fmt.Sprintf(got, args...))})
}
