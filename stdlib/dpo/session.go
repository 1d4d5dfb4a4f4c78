package dpo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"

	"dpolab/kernels"
	"dpolab/runtime/distributed"
	"dpolab/runtime/distributed/rendezvous"
	"dpolab/stdlib/display"
	"dpolab/stdlib/plot"
)

// session is what the calls of one process share. A host (REPL, notebook
// kernel, script runner) sets context, output and arguments; a compiled program
// has the process's own.
var session = struct {
	mu       sync.Mutex
	ctx      context.Context
	hosted   bool
	out      io.Writer
	quiet    bool // no displays of progress
	worlds   map[string]*world
	open     []closer
	args     []string
	argsSet  bool
	settings map[string]string
	asked    map[string]bool
	warned   bool
}{out: display.Stderr(), worlds: map[string]*world{}, asked: map[string]bool{}}

// closer is what Reset closes.
type closer interface{ Close() }

// Context is the context of the cell or script that is running. Long calls
// stop when it ends.
func Context() context.Context {
	session.mu.Lock()
	defer session.mu.Unlock()
	if session.ctx == nil && session.hosted { // signals are the host's
		session.ctx = context.Background()
	}
	if session.ctx == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program
		session.ctx = ctx
	}
	return session.ctx
}

// SetContext is for hosts: it gives the next calls a context, which the host
// ends to interrupt them. nil is one that never ends.
func SetContext(ctx context.Context) {
	session.mu.Lock()
	defer session.mu.Unlock()
	session.ctx, session.hosted = ctx, true
}

// SetOutput is for hosts: where warnings go, stderr by default.
func SetOutput(w io.Writer) {
	session.mu.Lock()
	defer session.mu.Unlock()
	session.out = w
}

// say writes a warning.
func say(format string, args ...any) {
	session.mu.Lock()
	defer session.mu.Unlock()
	fmt.Fprintf(session.out, format+"\n", args...)
}

// remember keeps c for Reset; forget takes it out again.
func remember(c closer) {
	session.mu.Lock()
	defer session.mu.Unlock()
	session.open = append(session.open, c)
}

func forget(c closer) {
	session.mu.Lock()
	defer session.mu.Unlock()
	for i, o := range session.open {
		if o == c {
			session.open = append(session.open[:i], session.open[i+1:]...)
			return
		}
	}
}

// Reset closes every trainer and model there is, which gives all device memory
// back.
func Reset() {
	for {
		session.mu.Lock()
		n := len(session.open)
		if n == 0 {
			session.mu.Unlock()
			return
		}
		last := session.open[n-1]
		session.mu.Unlock()
		last.Close()
		forget(last)
	}
}

// Finish belongs at the top of a script's main function:
//
//	func main() {
//		defer dpo.Finish()
//
// In a compiled program it turns what was raised into one line on stderr and
// exit status 1 (130 after Ctrl-C), reports key=value words that no call asked
// for, and frees the devices; in a GoNB cell it waits until the notebook has all
// output. Under a host it does nothing: the host shows
// errors, checks the words and keeps the models.
func Finish() {
	p := recover()
	session.mu.Lock()
	hosted := session.hosted
	session.mu.Unlock()
	if hosted {
		if p != nil {
			panic(p)
		}
		return
	}
	if p == nil {
		if err := Try(CheckSettings); err != nil {
			p = err
		}
	}
	Reset()
	display.EndCell()
	if p == nil {
		return
	}
	err, ok := p.(error)
	var raised *Error
	var drawing *plot.Error
	var showing *display.Error
	if !ok || !errors.As(err, &raised) && !errors.As(err, &drawing) && !errors.As(err, &showing) {
		panic(p)
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, Interrupted) {
		os.Exit(130)
	}
	os.Exit(1)
}

// world is a set of ranks that models on the same devices share. It lives as
// long as one of them does.
type world struct {
	*distributed.World
	key   string
	users int
}

// acquire opens the ranks of a device list, or joins those that are open.
func acquire(devices string, threads int) (*world, error) {
	key := fmt.Sprintf("%s/%d", devices, threads)
	session.mu.Lock()
	defer session.mu.Unlock()
	if w := session.worlds[key]; w != nil {
		w.users++
		return w, nil
	}
	if place, job, err := rendezvous.FromEnvironment(os.Getenv); err != nil || job {
		if err == nil {
			err = fmt.Errorf("%s has started %d processes, and each would train alone: programs run in one, jobs of several are for dpolab train", place.Launcher, place.World)
		}
		return nil, err
	}
	list, err := kernels.ParseDevices(devices)
	if err != nil {
		return nil, err
	}
	d, err := distributed.NewWorld(list, threads)
	if err != nil {
		return nil, err
	}
	w := &world{d, key, 1}
	session.worlds[key] = w
	return w, nil
}

// leave is acquire's opposite; the last one out frees the devices.
func (w *world) leave() error {
	session.mu.Lock()
	w.users--
	last := w.users == 0
	if last {
		delete(session.worlds, w.key)
	}
	session.mu.Unlock()
	if last {
		return w.Close()
	}
	return nil
}
