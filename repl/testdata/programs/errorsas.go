package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

type notFound struct{ name string }

func (e notFound) Error() string { return e.name + " not found" }

type coded struct {
	code int
	err  error
}

func (e *coded) Error() string { return fmt.Sprintf("code %d: %v", e.code, e.err) }
func (e *coded) Unwrap() error { return e.err }
func (e *coded) Is(target error) bool {
	t, ok := target.(*coded)
	return ok && t.code == e.code
}

var errSentinel = errors.New("sentinel")

func open(kind int) error {
	switch kind {
	case 0:
		return nil
	case 1:
		return notFound{"file"}
	case 2:
		return &coded{404, notFound{"page"}}
	case 3:
		return fmt.Errorf("wrapping: %w", &coded{500, errSentinel})
	case 4:
		return errors.Join(errSentinel, notFound{"joined"})
	case 5:
		_, err := strconv.Atoi("zz")
		return fmt.Errorf("parse: %w", err)
	case 6:
		_, err := os.Open("/does/not/exist")
		return err
	}
	return io.EOF
}

type temporary interface{ Temporary() bool }
type flaky struct{}

func (flaky) Error() string   { return "flaky" }
func (flaky) Temporary() bool { return true }

func main() {
	for k := range 8 {
		err := open(k)
		fmt.Println(k, err)
		var nf notFound
		if errors.As(err, &nf) {
			fmt.Println("  notFound", nf.name)
		}
		var c *coded
		if errors.As(err, &c) {
			fmt.Println("  coded", c.code)
		}
		fmt.Println("  is", errors.Is(err, errSentinel), errors.Is(err, notFound{"file"}), errors.Is(err, &coded{code: 404}), errors.Is(err, io.EOF))
		var ne *strconv.NumError
		if errors.As(err, &ne) {
			fmt.Println("  num", ne.Func, ne.Num)
		}
		var pe *fs.PathError
		if errors.As(err, &pe) {
			fmt.Println("  path", pe.Path, errors.Is(err, fs.ErrNotExist))
		}
		switch e := err.(type) {
		case nil:
			fmt.Println("  nil")
		case notFound:
			fmt.Println("  value", e.name)
		case *coded:
			fmt.Println("  pointer", e.code)
		default:
			fmt.Println("  other")
		}
	}
	var t temporary
	if errors.As(fmt.Errorf("x: %w", flaky{}), &t) {
		fmt.Println(t.Temporary())
	}
	var e error = notFound{"q"}
	fmt.Println(e == notFound{"q"}, e == notFound{"r"}, e != nil)
	if nf, ok := e.(notFound); ok {
		fmt.Println(nf.name)
	}
	fmt.Printf("%v|%s|%+v|%q\n", e, e, e, e)
	fmt.Println(fmt.Errorf("two: %w and %w", errSentinel, e))
	fmt.Println(fmt.Sprint("wrapped: ", &coded{1, nil}))
	if v, ok := errors.AsType[notFound](open(4)); ok {
		fmt.Println("AsType", v.name)
	}
}
