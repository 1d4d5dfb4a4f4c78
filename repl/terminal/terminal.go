package terminal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/chzyer/readline"

	"dpolab/repl"
	"dpolab/repl/frontend"
)

// Options say what a terminal session reads, writes and runs.
type Options struct {
	Session        *repl.Session
	Stdin          *os.File
	Stdout, Stderr io.Writer
	// Interactive prompts, edits lines and colours errors.
	Interactive bool
	// Greeting is printed before the first prompt.
	Greeting string
	// Memory describes what devices hold, for %mem.
	Memory func() string
	// Reset frees what compiled packages hold, for %reset.
	Reset func()
	// Page shows the answer to ?NAME; nil prints it to Stdout.
	Page func(text string)
}

// A Terminal reads and runs cells until its input ends.
type Terminal struct {
	Options
	cells  int
	saved  []string // cells that ran, for %save
	status Status
	quit   bool
	editor *readline.Instance
}

const (
	prompt       = ">>> "
	continuation = "... "
)

// Status is what a session ends with where that is not 0: what os.Exit was given
// in a cell, or 1 where nobody watched a cell fail.
type Status int

func (s Status) Error() string { return fmt.Sprintf("the session ended with status %d", int(s)) }

// New returns a terminal whose entries come from elsewhere, through Do.
func New(o Options) *Terminal { return &Terminal{Options: o} }

// Run reads cells until the end of input, %quit or os.Exit. Its error may be a
// [Status].
func Run(o Options) error {
	t := New(o)
	if o.Interactive {
		if err := t.interactive(); err != nil {
			return err
		}
	} else {
		t.piped()
	}
	if t.status != 0 {
		return t.status
	}
	return nil
}

// piped runs cells from a file or pipe.
func (t *Terminal) piped() {
	in := bufio.NewReader(t.Stdin)
	var buf strings.Builder
	for !t.quit {
		line, err := in.ReadString('\n')
		buf.WriteString(line)
		if err != nil {
			t.submit(buf.String())
			break
		}
		if text := buf.String(); !incomplete(text) {
			t.submit(text)
			buf.Reset()
		}
	}
}

func incomplete(text string) bool { return !IsCommand(text) && frontend.Incomplete(text) }

func (t *Terminal) interactive() error {
	history := historyFile()
	editor, err := readline.NewEx(&readline.Config{
		Prompt: prompt, HistoryFile: history, DisableAutoSaveHistory: true, HistorySearchFold: true,
		AutoComplete: &completer{t.Session, func() string { return "" }},
		Stdin:        newPasteReader(t.Stdin), InterruptPrompt: "^C", EOFPrompt: "",
	})
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	defer editor.Close()
	t.editor = editor
	fmt.Fprint(t.Stdout, askForPaste)
	defer fmt.Fprint(t.Stdout, stopAsking)
	if t.Greeting != "" {
		fmt.Fprintln(t.Stdout, t.Greeting)
	}
	var buf strings.Builder
	editor.Config.AutoComplete = &completer{t.Session, buf.String}
	for !t.quit {
		if buf.Len() == 0 {
			editor.SetPrompt(prompt)
		} else {
			editor.SetPrompt(continuation)
		}
		line, err := editor.Readline()
		switch {
		case errors.Is(err, readline.ErrInterrupt):
			buf.Reset()
			continue
		case err != nil:
			fmt.Fprintln(t.Stdout)
			return nil
		}
		buf.WriteString(fromMarks.Replace(line) + "\n")
		text := buf.String()
		if incomplete(text) && strings.TrimSpace(line) != "" || buf.Len() > 0 && incomplete(text) && openBrackets(text) {
			continue
		}
		buf.Reset()
		if strings.TrimSpace(text) == "" {
			continue
		}
		_ = editor.SaveHistory(toMarks.Replace(strings.TrimRight(text, "\n")))
		t.watched(text)
	}
	return nil
}

// openBrackets tells text that an empty line does not end.
func openBrackets(text string) bool {
	depth := strings.Count(text, "{") - strings.Count(text, "}")
	return depth > 0 || strings.Count(text, "`")%2 == 1
}

// watched runs an entry while Ctrl-C interrupts it.
func (t *Terminal) watched(text string) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
				t.Session.Interrupt()
			case <-done:
				return
			}
		}
	}()
	t.submit(text)
	signal.Stop(signals)
	close(done)
}

// submit runs one entry and reports what went wrong.
func (t *Terminal) submit(text string) {
	if strings.TrimSpace(text) != "" {
		t.report(t.entry(text))
	}
}

// Do runs one entry, a command, a question or a cell, which the name of a cell
// counts as the nth.
func (t *Terminal) Do(n int, text string) error {
	t.cells, t.quit = n-1, false
	return t.entry(text)
}

// Ended reports whether an entry has asked for the end of the session.
func (t *Terminal) Ended() bool { return t.quit }

func (t *Terminal) entry(text string) error {
	trimmed := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(trimmed, "%"):
		return t.command(trimmed)
	case strings.HasPrefix(trimmed, "?"):
		return t.describe(strings.TrimSpace(strings.TrimLeft(trimmed, "?")))
	case IsCommand(text):
		return t.describe(strings.TrimSpace(strings.TrimRight(trimmed, "?")))
	}
	return t.cell(text)
}

func (t *Terminal) cell(text string) error {
	t.cells++
	err := t.Session.Run(fmt.Sprintf("cell %d", t.cells), text)
	if err == nil {
		t.saved = append(t.saved, strings.TrimRight(text, "\n")+"\n")
	}
	return err
}

// report prints an error; exits end the session.
func (t *Terminal) report(err error) {
	if err == nil {
		return
	}
	var c *repl.CellError
	if errors.As(err, &c) && c.Kind == "exit" {
		t.quit, t.status = true, Status(c.Status)
		return
	}
	text := err.Error()
	if !t.Interactive {
		t.status = 1
	} else {
		head, rest, more := strings.Cut(text, "\n")
		text = "\x1b[31m" + head + "\x1b[0m"
		if more {
			text += "\n" + rest
		}
	}
	fmt.Fprintln(t.Stderr, text)
}

func (t *Terminal) describe(expr string) error {
	text, ok := t.Session.Inspect(expr, len(expr))
	if !ok {
		return fmt.Errorf("nothing is known of %q", expr)
	}
	if t.Page != nil {
		t.Page(text)
		return nil
	}
	fmt.Fprintln(t.Stdout, text)
	return nil
}
