package repl

import (
	"errors"
	"io"
	"reflect"
	"regexp"
	"strings"
	"sync"

	"github.com/traefik/yaegi/interp"

	"dpolab/repl/frontend"
	"dpolab/stdlib/symbols"
)

// A CellError says how a cell ended that compiled and did not finish.
type CellError struct {
	// Kind is "panic", "error" (the last expression's value), "interrupted" or
	// "exit".
	Kind string
	// Message is what happened, in one line or a few.
	Message string
	// Place is where, as "cell 3:7", and Calls the functions that were being
	// called, innermost first.
	Place string
	Calls []string
	// Err is the error or the panic's value, where it is an error.
	Err error
	// Status is the exit status asked for by os.Exit.
	Status int
}

func (e *CellError) Error() string {
	var b strings.Builder
	if e.Place != "" {
		b.WriteString(e.Place + ": ")
	}
	switch e.Kind {
	case "interrupted":
		b.WriteString(e.Message)
	case "exit":
		b.WriteString(e.Message)
	default:
		b.WriteString(e.Kind + ": " + e.Message)
	}
	if len(e.Calls) > 0 && e.Kind != "error" {
		b.WriteString("\n  in " + strings.Join(e.Calls, "\n  called from "))
	}
	return b.String()
}

func (e *CellError) Unwrap() error { return e.Err }

func (s *Session) cellError(name string, err error, traces []string, asked, overflow bool) error {
	if err == nil {
		return nil
	}
	line := s.scope.Line(int(s.place.Int()))
	c := &CellError{Kind: "panic", Calls: calls(traces)}
	if line.Pos.IsValid() {
		c.Place = line.Pos.String()
	} else {
		c.Place = name
	}
	var value any = err
	var p interp.Panic
	if errors.As(err, &p) {
		value = p.Value
	}
	if v, ok := value.(reflect.Value); ok && v.IsValid() && v.CanInterface() {
		value = v.Interface()
	}
	switch v := value.(type) {
	case failure:
		c.Kind, c.Message, c.Err, c.Calls = "error", v.err.Error(), v.err, nil
	case symbols.ExitCode:
		c.Kind, c.Status, c.Calls = "exit", int(v), nil
		c.Message = "os.Exit"
	case error:
		c.Message, c.Err = panicText(v), v
	default:
		c.Message = panicText(v)
	}
	switch {
	case overflow:
		c.Kind, c.Message = "panic", errOverflow.Error()
		if len(c.Calls) > 6 {
			c.Calls = append(c.Calls[:6], "…")
		}
	case errors.Is(err, errAbandoned):
		c.Kind, c.Message, c.Err = "interrupted", errAbandoned.Error(), errInterrupted
	case asked:
		c.Kind, c.Message, c.Err, c.Calls = "interrupted", "interrupted", errInterrupted, nil
	}
	return c
}

// IsInterrupt reports whether a cell ended because it was interrupted.
func IsInterrupt(err error) bool { return errors.Is(err, errInterrupted) }

var tracePattern = regexp.MustCompile(`^\S*\d+:\d+: panic: (?:main\.)?([^\s(]*)\(\.\.\.\)\n$`)

// traceLine recognises the line that the interpreter writes when a panic leaves
// a function.
func traceLine(text string) (function string, ok bool) {
	if !strings.HasSuffix(text, "(...)\n") {
		return "", false
	}
	m := tracePattern.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// calls turns the interpreter's function names into the user's. The body of a
// function that defers is a literal, which does not count as a call, and neither
// do functions that lowering adds.
func calls(traces []string) []string {
	var out []string
	literal := false // whether the last one was
	for _, t := range traces {
		base, method, isMethod := strings.Cut(t, frontend.MethodDot)
		name, rest, _ := strings.Cut(base, "__")
		if isMethod {
			method, rest, _ = strings.Cut(method, "__")
			name += "." + method
		}
		if name == "" || name == "main" || name == "cell" || strings.HasPrefix(name, frontend.HelperPrefix) {
			continue
		}
		again := len(out) > 0 && out[len(out)-1] == name
		if again && (literal || len(out) > 3) {
			literal = strings.HasSuffix(rest, ".func")
			continue
		}
		literal = strings.HasSuffix(rest, ".func")
		out = append(out, name)
	}
	return out
}

// redirect is a writer whose target can change and that can keep lines from it.
type redirect struct {
	mu   sync.Mutex
	to   io.Writer
	drop func(text string) bool
}

func (r *redirect) Write(p []byte) (int, error) {
	if r.drop != nil && r.drop(string(p)) {
		return len(p), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == nil {
		return len(p), nil
	}
	return r.to.Write(p)
}
