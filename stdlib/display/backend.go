package display

import (
	"crypto/rand"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"dpolab/stdlib/internal/gonb"
)

// Backend is how a host shows things. A field that is nil does nothing; without
// Input, asking is an error.
type Backend struct {
	// Show displays a bundle.
	Show func(bundle map[string]string)
	// Update displays a bundle in the place of what id showed before, or as Show
	// does the first time.
	Update func(id string, bundle map[string]string)
	// Settle says that id will not be updated again.
	Settle func(id string)
	// Clear removes what the running cell has shown; with wait, only when it shows
	// something else.
	Clear func(wait bool)
	// Input asks the user for a line.
	Input func(prompt string, password bool) (string, error)
}

var host = struct {
	sync.Mutex
	backend Backend
	set     bool
}{}

// SetBackend is for hosts that show richly: what is shown goes to b from now on.
// The zero value goes back to GoNB, if a GoNB kernel runs the program, and to
// the terminal otherwise.
func SetBackend(b Backend) {
	host.Lock()
	defer host.Unlock()
	host.backend = b
	host.set = b.Show != nil || b.Update != nil || b.Settle != nil || b.Clear != nil || b.Input != nil
}

// backend is the one in force.
func backend() Backend {
	host.Lock()
	defer host.Unlock()
	switch {
	case host.set:
		return host.backend
	case gonb.Enabled():
		return gonbBackend
	}
	return terminalBackend
}

// Rich reports whether there is more than text/plain to be seen: in notebooks,
// not in a terminal.
func Rich() bool {
	host.Lock()
	defer host.Unlock()
	return host.set || gonb.Enabled()
}

// Live reports whether updates are seen: in notebooks and on a terminal, not
// when standard error is a file or a pipe.
func Live() bool { return Rich() || screen.tty() }

// Show displays a bundle. Text is added to one that has none.
func Show(bundle map[string]string) {
	if b := backend(); b.Show != nil {
		b.Show(whole(bundle))
	}
}

// Update displays a bundle in the place of what id showed before.
func Update(id string, bundle map[string]string) {
	if id == "" {
		refuse("Update", "an id, such as NewID gives", `""`)
	}
	if b := backend(); b.Update != nil {
		b.Update(id, whole(bundle))
	}
}

// Settle says that id will not be updated again: what it shows stays.
func Settle(id string) {
	if b := backend(); b.Settle != nil {
		b.Settle(id)
	}
}

// Clear removes what the running cell has shown; with wait, only when it shows
// something else, which keeps an animation from flickering. GoNB has no such
// message, and there it does nothing.
func Clear(wait bool) {
	if b := backend(); b.Clear != nil {
		b.Clear(wait)
	}
}

// Input asks the user for a line of text, without its end.
func Input(prompt string) string { return ask("Input", prompt, false) }

// Password is Input for what nobody should read on the screen.
func Password(prompt string) string { return ask("Password", prompt, true) }

func ask(op, prompt string, password bool) string {
	b := backend()
	if b.Input == nil {
		refuse(op, "a host that can ask", "one that cannot")
	}
	line, err := b.Input(prompt, password)
	check(op, err)
	return line
}

// ids count up; displays outlive the process in a notebook, so that they begin
// with what no other process has.
var (
	ids    atomic.Int64
	origin = rand.Text()[:10]
)

// NewID is an id for Update that no other display has.
func NewID() string { return origin + "-" + strconv.FormatInt(ids.Add(1), 10) }

var endings = struct {
	sync.Mutex
	fns []func()
}{}

// AtEnd has fn called, once, when the running cell or program ends: it draws
// what was held back, such as the last state of a display that changes.
func AtEnd(fn func()) {
	endings.Lock()
	defer endings.Unlock()
	endings.fns = append(endings.fns, fn)
}

// EndCell is for hosts: a cell has ended, and what it shows is drawn for the
// last time before EndCell returns. A compiled program in a GoNB notebook needs
// it before it ends, or its last output is lost; dpo.Finish calls it.
func EndCell() {
	endings.Lock()
	fns := endings.fns
	endings.fns = nil
	endings.Unlock()
	for _, fn := range fns {
		fn()
	}
	gonb.Sync()
}

// gonbBackend sends bundles through GoNB's pipes. What the user types there
// arrives on standard input.
var gonbBackend = Backend{Show: gonb.Show, Update: gonb.Update, Input: func(prompt string, password bool) (string, error) {
	gonb.Ask(prompt, password)
	return readLine(os.Stdin)
}}
