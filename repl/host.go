package repl

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/traefik/yaegi/interp"

	"dpolab/stdlib/display"
)

// debugLowering prints what the interpreter is given.
var debugLowering = os.Getenv("DPOLAB_LOWERED") != ""

var (
	errInterrupted = errors.New("interrupted")
	errOverflow    = errors.New("stack overflow: recursion without end")
	errAbandoned   = errors.New("interrupted, leaving behind a call that could not stop")
)

// host is the package that lowered cells call.
func (s *Session) host() interp.Exports {
	return interp.Exports{"dpolab/repl/host/host": {
		"Check": reflect.ValueOf(s.check),
		"Done":  reflect.ValueOf(s.done),
		"Died":  reflect.ValueOf(s.died),
		"Show":  reflect.ValueOf(s.show),
		"Fail":  reflect.ValueOf(fail),

		"Box": reflect.ValueOf(s.box), "Open": reflect.ValueOf(open), "Raw": reflect.ValueOf(raw), "Unbox": reflect.ValueOf(s.unbox), "Assert": reflect.ValueOf(s.assert),
		"Implements": reflect.ValueOf(s.implements), "Require": reflect.ValueOf(s.require), "Wrap": reflect.ValueOf(s.wrap), "Method": reflect.ValueOf(s.method),
		"Defers": reflect.ValueOf(s.defers), "Recover": reflect.ValueOf(s.recovered), "PanicValue": reflect.ValueOf(panicValue),
		"Select": reflect.ValueOf(s.choose), "Sending": reflect.ValueOf(sending), "Receiving": reflect.ValueOf(receiving),
		"Printf": reflect.ValueOf(func(format string, a ...any) (int, error) { return fmt.Fprintf(s.out, boxVerbs(format, a), a...) }),
		"Equal":  reflect.ValueOf(equal), "ErrorAs": reflect.ValueOf(s.errorAs),
	}}
}

// check stops a goroutine whose cell was interrupted. Others go on, a little
// later: the flag that brought them here is about to fall.
func (s *Session) check() {
	id := goroutineID()
	s.mu.Lock()
	stop := s.condemned[id]
	overflow := s.running != nil && s.running.goroutine == id && s.running.overflow
	s.mu.Unlock()
	if stop && overflow { // the interpreter would panic anew in each of its many calls
		runtime.Goexit()
	}
	if stop {
		panic(errInterrupted)
	}
}

// done is the channel that an interrupt closes for the goroutine that asks; nil
// for goroutines that no interrupt concerns.
func (s *Session) done() <-chan struct{} {
	id := goroutineID()
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.running
	if x == nil || x.goroutine != id {
		return nil
	}
	if x.asked > 0 && !s.condemned[id] { // it cleans up
		return x.abandon
	}
	return x.done
}

// spare lets a goroutine that was interrupted make its deferred calls; they end
// by a second interrupt. What it returns takes the grace back.
func (s *Session) spare(id uint64) (again func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.running
	if x == nil || x.goroutine != id || x.asked > 1 || !s.condemned[id] {
		return func() {}
	}
	delete(s.condemned, id)
	s.stop.SetBool(len(s.condemned) > 0)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.condemned[id] = true
		s.stop.SetBool(true)
	}
}

// sleep is time.Sleep that an interrupt ends.
func (s *Session) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.done():
		s.check()
	}
}

// died reports a panic in a goroutine of a cell.
func (s *Session) died(r any) {
	if err, ok := r.(error); ok && errors.Is(err, errInterrupted) {
		return
	}
	line := s.scope.Line(int(s.place.Int()))
	fmt.Fprintf(s.errOut, "panic in a goroutine: %s (near %s)\n", panicText(r), line.Pos)
}

// A failure is the error that a cell's last expression gave.
type failure struct{ err error }

func fail(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// show displays the values of a cell's last expression.
func (s *Session) show(id int, values ...any) {
	s.mu.Lock()
	types := s.shown[id]
	s.mu.Unlock()
	texts := make([]string, len(values))
	for i, v := range values {
		if i < len(types) {
			texts[i] = s.Format(types[i], reflect.ValueOf(v))
		} else {
			texts[i] = fmt.Sprint(v)
		}
	}
	s.display(strings.Join(texts, "\n"), values)
}

func (s *Session) display(text string, values []any) {
	display.EndCell() // what the cell was showing stands above its value
	if s.options.Show != nil {
		s.options.Show(text, values)
		return
	}
	fmt.Fprintln(s.out, text)
}

// runtimeError is a panic of the Go runtime as recover gives it.
type runtimeError string

func (e runtimeError) Error() string {
	return "runtime error: " + strings.TrimPrefix(string(e), "runtime error: ")
}
func (runtimeError) RuntimeError() {}

// panicText words a panic as compiled Go does. The interpreter works through
// package reflect, whose own words mean nothing to users.
func panicText(r any) string {
	switch r := r.(type) {
	case interp.Panic:
		return panicText(r.Value)
	case reflect.Value: // of a panic with an interface
		if r.IsValid() && r.CanInterface() {
			return panicText(r.Interface())
		}
	case *reflect.ValueError:
		if r.Kind == reflect.Invalid {
			return "runtime error: invalid memory address or nil pointer dereference"
		}
	case string:
		switch r {
		case "reflect: slice index out of range", "reflect: array index out of range", "reflect: string index out of range":
			return "runtime error: index out of range"
		case "reflect.Value.Slice: slice index out of bounds", "reflect.Value.Slice: string slice index out of bounds":
			return "runtime error: slice bounds out of range"
		case "reflect.Value.Call: call of nil function", "reflect: Call using zero Value argument", "reflect: Method on nil interface value":
			return "runtime error: invalid memory address or nil pointer dereference"
		case "reflect.MakeSlice: negative len":
			return "runtime error: makeslice: len out of range"
		}
		return r
	case error:
		text := r.Error()
		if m := conversionPattern.FindStringIndex(text); m != nil { // the interpreter puts its own position before it
			text = text[m[1]-len(conversion):]
		}
		return text
	case fmt.Stringer:
		return r.String()
	}
	return fmt.Sprint(r)
}

// conversion begins what a failed type assertion says.
const conversion = "interface conversion: "

var conversionPattern = regexp.MustCompile(`^\d+:\d+: ` + conversion)

func stackBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
