package repl

import (
	"context"
	"errors"
	"fmt"
	"go/types"
	"io"
	"maps"
	"reflect"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/traefik/yaegi/interp"

	"dpolab/repl/frontend"
	"dpolab/stdlib/display"
	"dpolab/stdlib/symbols"
)

// Options say where a session's cells read and write.
type Options struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Show receives the value of a cell's last expression as text; nil prints it
	// to Stdout.
	Show func(text string, values []any)
	// Context is told of each cell's context, so that long calls of compiled
	// packages can be interrupted; nil if nothing needs it.
	Context func(context.Context)
}

// A Session runs cells one after the other. Run must not be called again before
// it has returned; all other methods may be called at any time.
type Session struct {
	options     Options
	out, errOut *redirect
	scope       *frontend.Scope
	interpreter *interp.Interpreter
	stop, place reflect.Value // the interpreter's stop flag and place counter

	scopeMu sync.Mutex // guards scope, which completion reads while a cell runs

	mu          sync.Mutex
	condemned   map[uint64]bool // goroutines that must not run on
	running     *execution
	traces      []string
	shown       map[int][]types.Type
	types       map[int]*typeInfo
	typesByName map[string]*typeInfo     // as %T prints them, the newest of a name
	titles      map[string]string        // of instances of generic types
	deferring   map[uint64][]*Defers     // by goroutine, innermost last
	globals     map[string]reflect.Value // of the interpreter, as last asked for
}

// execution is a cell that runs.
type execution struct {
	goroutine uint64
	done      chan struct{} // closed by an interrupt
	abandon   chan struct{} // closed by the second
	cancel    context.CancelFunc
	asked     int
	overflow  bool
}

// NewSession returns a session with nothing declared.
func NewSession(o Options) (*Session, error) {
	s := &Session{options: o, out: &redirect{to: o.Stdout}, condemned: map[uint64]bool{}, shown: map[int][]types.Type{}}
	s.errOut = &redirect{to: o.Stderr, drop: s.trace}
	return s, s.Reset()
}

// Reset forgets everything that cells have declared.
func (s *Session) Reset() error {
	stdin := s.options.Stdin
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	s.types, s.typesByName, s.titles = map[int]*typeInfo{}, map[string]*typeInfo{}, nil
	s.globals, s.deferring = nil, map[uint64][]*Defers{}
	s.interpreter = interp.New(interp.Options{Stdin: stdin, Stdout: s.out, Stderr: s.errOut})
	if err := s.interpreter.Use(symbols.Base()); err != nil {
		return fmt.Errorf("repl: %w", err)
	}
	if err := s.interpreter.Use(s.host()); err != nil {
		return fmt.Errorf("repl: %w", err)
	}
	for _, text := range []string{`import rt__ "dpolab/repl/host"`, "var stop__ bool", "var at__ int"} {
		if _, err := s.interpreter.Eval(text); err != nil {
			return fmt.Errorf("repl: %s: %w", text, err)
		}
	}
	globals := s.interpreter.Globals()
	s.stop, s.place = globals["stop__"], globals["at__"]
	s.scope = frontend.NewScope(frontend.Library{
		Importer: symbols.Importer(nil), Packages: symbols.Packages, PackageName: symbols.PackageName, Source: symbols.Source, Missing: symbols.Missing,
	})
	return nil
}

// Scope gives what the session has declared.
func (s *Session) Scope() *frontend.Scope { return s.scope }

// Run runs a cell. Its name stands in messages, as in "cell 3:2:7". A cell that
// does not compile changes nothing and gives a [frontend.Errors]; one that
// panics, returns an error as its last value or is interrupted keeps what it
// had done and gives a [*CellError].
func (s *Session) Run(name, text string) error {
	prog, err := s.declare(name, text)
	if err != nil {
		return err
	}
	s.mu.Lock()
	for id, t := range prog.Shown {
		s.shown[id] = t
	}
	s.mu.Unlock()
	s.stub(prog.Stubs)
	for _, n := range prog.Notes {
		fmt.Fprintln(s.errOut, "note: "+n)
	}
	if prog.Run == "" {
		return nil
	}
	return s.execute(name, prog.Run)
}

// declare makes a cell's declarations part of the session.
func (s *Session) declare(name, text string) (*frontend.Program, error) {
	s.scopeMu.Lock()
	defer s.scopeMu.Unlock()
	prog, err := s.scope.Lower(name, text)
	if err != nil {
		return nil, err
	}
	if err := s.load(prog); err != nil {
		return nil, err
	}
	prog.Commit()
	s.learn(prog)
	return prog, nil
}

// cellMark begins a new cell in a saved script.
const cellMark = "// %%"

// RunFile runs a saved script: a whole package main, whose main function is
// called, or cells as they would be typed, which lines of "// %%" keep apart.
// It stops at the first cell that fails.
func (s *Session) RunFile(name, text string) error {
	if frontend.IsProgram(text) {
		return s.Run(name, strings.TrimRight(text, "\n")+"\nmain()\n")
	}
	var cell strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, cellMark) {
			if err := s.Run(name, cell.String()); err != nil {
				return err
			}
			cell.Reset()
			cell.WriteString(strings.Repeat("\n", n)) // the next cell's errors count from the file's first line
		}
		cell.WriteString(line)
		n++
	}
	return s.Run(name, cell.String())
}

// load gives the interpreter a cell's declarations.
func (s *Session) load(prog *frontend.Program) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if debugLowering {
				fmt.Fprintf(s.errOut, "%s\n", debug.Stack())
			}
			err = fmt.Errorf("the interpreter cannot take this cell: %v", r)
		}
	}()
	for path, alias := range prog.Imports {
		table := symbols.Load(path)
		maps.Copy(table, s.replaced(path))
		if err := s.interpreter.Use(interp.Exports{symbols.Key(path): table}); err != nil {
			return fmt.Errorf("import %q: %w", path, err)
		}
		if _, err := s.interpreter.Eval(fmt.Sprintf("import %s %q", alias, path)); err != nil {
			return fmt.Errorf("import %q: %w", path, err)
		}
	}
	for _, d := range prog.Decls {
		if _, err := s.interpreter.Eval(d); err != nil {
			if debugLowering {
				fmt.Fprintf(s.errOut, "%s\n", d)
			}
			return fmt.Errorf("the interpreter cannot take this cell: %w", err)
		}
		if debugLowering {
			fmt.Fprintf(s.errOut, "%s\n", d)
		}
	}
	return nil
}

// stub makes calls of functions that no longer compile say so.
func (s *Session) stub(stubs map[string]string) {
	if len(stubs) == 0 {
		return
	}
	globals := s.interpreter.Globals()
	for name, msg := range stubs {
		if v, ok := globals[name]; ok && v.CanSet() && v.Kind() == reflect.Func {
			v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value { panic(errors.New(msg)) }))
		}
	}
}

// execute runs the cell's function on a goroutine of its own and waits for it,
// or for the second interrupt.
func (s *Session) execute(name, call string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	x := &execution{done: make(chan struct{}), abandon: make(chan struct{}), cancel: cancel}
	result, started, begin := make(chan error, 1), make(chan uint64), make(chan struct{})
	go func() {
		id := goroutineID()
		started <- id
		<-begin
		err := error(errOverflow)
		defer func() {
			s.mu.Lock()
			s.pardon(id)
			s.mu.Unlock()
			result <- err
		}()
		_, err = s.interpreter.Eval(call)
	}()
	x.goroutine = <-started
	s.mu.Lock()
	s.running, s.traces = x, nil
	s.mu.Unlock()
	s.place.SetInt(0)
	if s.options.Context != nil {
		s.options.Context(ctx)
	}
	close(begin)
	finished := make(chan struct{})
	defer close(finished)
	go s.watchStack(x, finished)
	var err error
	select {
	case err = <-result:
	case <-x.abandon:
		err = errAbandoned
	}
	display.EndCell()
	s.mu.Lock()
	s.running = nil
	if !errors.Is(err, errAbandoned) { // an interrupt may have come when it had just ended
		s.pardon(x.goroutine)
	}
	traces := s.traces
	asked, overflow := x.asked > 0, x.overflow
	s.mu.Unlock()
	return s.cellError(name, err, traces, asked, overflow)
}

// Interrupt stops the cell that runs, at the next statement that can stop: a
// loop, a call, a wait for a channel or a long call of a package that knows the
// session's context. A second one leaves behind a call that cannot stop; what
// it returns to does not run on. It reports whether a cell was running.
func (s *Session) Interrupt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.running
	if x == nil {
		return false
	}
	x.asked++
	switch x.asked {
	case 1:
		s.condemn(x)
	case 2:
		s.condemned[x.goroutine] = true // wherever it returns to
		s.stop.SetBool(true)
		close(x.abandon)
	}
	return true
}

func (s *Session) condemn(x *execution) {
	s.condemned[x.goroutine] = true
	s.stop.SetBool(true)
	close(x.done)
	x.cancel()
}

// pardon takes back that a goroutine is to stop.
func (s *Session) pardon(id uint64) {
	delete(s.condemned, id)
	s.stop.SetBool(len(s.condemned) > 0)
}

// stackLimit is the memory of all stacks at which runaway recursion is stopped;
// the Go runtime itself would end the process at its own limit.
const stackLimit = 128 << 20

func init() { debug.SetMaxStack(8 << 30) }

func (s *Session) watchStack(x *execution, finished chan struct{}) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return
		case <-tick.C:
		}
		if stackBytes() < stackLimit {
			continue
		}
		s.mu.Lock()
		if s.running == x && x.asked == 0 && !x.overflow {
			x.overflow = true
			s.condemn(x)
		}
		s.mu.Unlock()
		return
	}
}

// trace takes the lines that the interpreter prints as a panic leaves each of
// its functions.
func (s *Session) trace(text string) bool {
	name, ok := traceLine(text)
	if !ok {
		return false
	}
	s.mu.Lock()
	if len(s.traces) < 50 {
		s.traces = append(s.traces, name)
	}
	s.mu.Unlock()
	return true
}

// Names lists what the session has declared.
func (s *Session) Names() []frontend.Entry {
	s.scopeMu.Lock()
	defer s.scopeMu.Unlock()
	return s.scope.Entries()
}

// Value returns a variable's current value.
func (s *Session) Value(name string) (reflect.Value, bool) {
	for _, e := range s.Names() {
		if e.Name == name && e.Running != "" {
			v, ok := s.interpreter.Globals()[e.Running]
			return v, ok
		}
	}
	return reflect.Value{}, false
}

func goroutineID() uint64 {
	var buf [40]byte
	n := runtime.Stack(buf[:], false)
	var id uint64
	for _, c := range buf[len("goroutine "):n] {
		if c < '0' || c > '9' {
			break
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
