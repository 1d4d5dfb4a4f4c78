package repl

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"

	"dpolab/stdlib/symbols"
)

// Defers are the deferred calls of one call of a cell's function.
type Defers struct {
	session *Session
	calls   []func()
	// Of a run: whether a panic goes on, and with what.
	panicking bool
	value     any
}

func (s *Session) defers() *Defers { return &Defers{session: s} }

// Push adds a call.
func (d *Defers) Push(f func()) { d.calls = append(d.calls, f) }

// Call runs the body of the function and then the calls that it has deferred,
// last first. A panic that no call recovers goes on, the last of several.
func (d *Defers) Call(body func()) {
	s := d.session
	place := s.place.Int()
	if d.one(body) {
		place = s.place.Int()
	}
	id := goroutineID()
	s.enter(id, d)
	defer s.leave(id)
	if d.panicking && errors.Is(asError(d.value), errInterrupted) {
		defer s.spare(id)() // what it has deferred still runs
	}
	for len(d.calls) > 0 {
		f := d.calls[len(d.calls)-1]
		d.calls = d.calls[:len(d.calls)-1]
		if d.one(f) {
			place = s.place.Int()
		}
	}
	if d.panicking {
		s.place.SetInt(place)
		panic(d.value)
	}
}

func asError(v any) error {
	err, _ := v.(error)
	return err
}

// one runs one function and reports whether it panicked.
func (d *Defers) one(f func()) (panicked bool) {
	finished := false
	defer func() {
		if r := recover(); !finished && r != nil { // without either the goroutine ends
			d.panicking, d.value, panicked = true, r, true
		}
	}()
	f()
	finished = true
	return false
}

func (s *Session) enter(id uint64, d *Defers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deferring[id] = append(s.deferring[id], d)
}

func (s *Session) leave(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if list := s.deferring[id]; len(list) > 1 {
		s.deferring[id] = list[:len(list)-1]
	} else {
		delete(s.deferring, id)
	}
}

// recovered is recover for cells: the panic of the function whose deferred
// calls run. Interrupts and exits cannot be recovered.
func (s *Session) recovered() any {
	id := goroutineID()
	s.mu.Lock()
	list := s.deferring[id]
	s.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	d := list[len(list)-1]
	if !d.panicking || final(d.value) {
		return nil
	}
	r := d.value
	d.panicking, d.value = false, nil
	s.mu.Lock()
	s.traces = nil
	s.mu.Unlock()
	return recoverable(r)
}

// final tells panics that end the cell whatever it does.
func final(r any) bool {
	switch r := r.(type) {
	case symbols.ExitCode, failure:
		return true
	case error:
		return errors.Is(r, errInterrupted)
	}
	return false
}

// recoverable gives what a function panicked with the form that compiled Go
// gives it.
func recoverable(r any) any {
	switch r := r.(type) {
	case *reflect.ValueError:
		return runtimeError(panicText(r))
	case error:
		if t := panicText(r); strings.HasPrefix(t, conversion) {
			return conversionError(t)
		}
	case string:
		if t := panicText(r); t != r {
			return runtimeError(t)
		}
	}
	return r
}

// panicValue is what panic(v) panics with.
func panicValue(v any) any {
	if v == nil {
		return new(runtime.PanicNilError)
	}
	return v
}

// A choice is one case of a select.
type choice struct {
	reflect.SelectCase
	value, ok any // where to put what is received
}

func sending(ch, of any) choice {
	return choice{SelectCase: reflect.SelectCase{Dir: reflect.SelectSend, Chan: reflect.ValueOf(ch), Send: reflect.ValueOf(of).Index(0)}}
}

func receiving(ch, value, ok any) choice {
	return choice{SelectCase: reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ch)}, value: value, ok: ok}
}

// choose runs a select and returns which case it was, -1 for the default, which
// there is unless the select waits. An interrupt ends the wait.
func (s *Session) choose(waits bool, choices ...choice) int {
	cases := make([]reflect.SelectCase, len(choices), len(choices)+1)
	for i, c := range choices {
		cases[i] = c.SelectCase
	}
	if waits {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(s.done())})
	} else {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectDefault})
	}
	i, v, ok := reflect.Select(cases)
	if i == len(choices) {
		if waits {
			s.check()
			panic(fmt.Errorf("a select woke without a case"))
		}
		return -1
	}
	c := choices[i]
	if c.Dir == reflect.SelectRecv {
		if c.value != nil {
			place := reflect.ValueOf(c.value).Elem()
			place.Set(as(v, place.Type()))
		}
		if c.ok != nil {
			*c.ok.(*bool) = ok
		}
	}
	return i
}
