package dpo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dpolab/runtime/tensor"
	"dpolab/runtime/train"
	"dpolab/stdlib/display"
	"dpolab/stdlib/plot"
)

// Interrupted is what a call raises when the session's context ended. State is
// as it was at the last safe point; the same call goes on from there.
var Interrupted = errors.New("interrupted")

// OutOfMemory is what a call raises when a device has no memory left. What the
// call had taken has been given back.
var OutOfMemory = tensor.ErrOutOfMemory

// EndOfData is what a step raises when there is no batch left to train on.
var EndOfData = errors.New("the data has ended")

// Error is what the package raises: which call, and in one line what was
// expected and what was found.
type Error struct {
	Op  string
	err error
}

// Error is one line: "dpo.LoadModel: tiny/config.json: no such file".
func (e *Error) Error() string {
	line, _, _ := strings.Cut(e.err.Error(), "\n")
	return "dpo." + e.Op + ": " + strings.TrimPrefix(line, e.Op+": ")
}

// Unwrap gives the cause, for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.err }

// Detail is the whole text of the cause, with the stack of a failed rank.
func (e *Error) Detail() string { return e.err.Error() }

// Try runs fn and returns what it raised, so that a script can go on:
//
//	if err := dpo.Try(func() { tr.Run() }); err != nil { ... }
func Try(fn func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *Error:
			err = p
		case *tensor.Error:
			err = p
		case *plot.Error:
			err = p
		case *display.Error:
			err = p
		default:
			panic(p)
		}
	}()
	fn()
	return nil
}

// check raises err, if there is one, in the name of op.
func check(op string, err error) {
	if err == nil {
		return
	}
	var raised *Error
	if errors.As(err, &raised) {
		panic(raised)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, train.ErrInterrupted) {
		err = fmt.Errorf("%w; nothing is lost, the same call goes on", Interrupted)
	}
	panic(&Error{Op: op, err: err})
}

// refuse raises a wrong argument.
func refuse(op, want, got string, args ...any) {
	panic(&Error{Op: op, err: fmt.Errorf("want %s, got %s", want, fmt.Sprintf(got, args...))})
}

// try is tensor.Try for code of the package itself: misuse is raised in the
// name of op.
func try(op string, fn func()) { check(op, tensor.Try(fn)) }

// stoppable runs work that cannot be stopped itself. When the session's context
// ends first, the work is left to finish on its own and then undone.
func stoppable(op string, work func() error, undo func()) {
	ctx := Context()
	check(op, ctx.Err())
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
				if e, ok := p.(error); ok {
					err = e
				}
			}
			done <- err
		}()
		err = work()
	}()
	select {
	case err := <-done:
		check(op, err)
	case <-ctx.Done():
		go func() {
			if err := <-done; err == nil && undo != nil {
				undo()
			}
		}()
		check(op, ctx.Err())
	}
}
