package display

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// terminalBackend prints text on standard output and draws what changes on
// standard error.
var terminalBackend = Backend{
	Show:   func(bundle map[string]string) { fmt.Fprintln(beside{os.Stdout}, bundle[plain]) },
	Update: func(id string, bundle map[string]string) { screen.update(id, bundle[plain]) },
	Settle: func(id string) { screen.settle(id) },
	Input:  askTerminal,
}

// Stdout is standard output for hosts: what goes through it stands above the
// display that is being updated. A host that lets all output through Stdout and
// [Stderr] has displays of several lines; in other programs, whose prints are
// not seen here, a display that changes is one line.
func Stdout() io.Writer {
	screen.mu.Lock()
	defer screen.mu.Unlock()
	screen.tall = true
	return beside{os.Stdout}
}

// Stderr is Stdout for standard error.
func Stderr() io.Writer { return beside{os.Stderr} }

type beside struct{ out *os.File }

func (b beside) Write(p []byte) (int, error) { return screen.write(b.out, p) }

// Columns is the width of the terminal in characters, 80 if there is none.
func Columns() int {
	if width, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && width >= 8 {
		return width
	}
	return 80
}

// screen is the process's terminal.
var screen = &block{isTerminal: func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }}

// block is the display that is drawn over in place, at the end of what the
// terminal shows.
type block struct {
	isTerminal func(f *os.File) bool

	mu     sync.Mutex
	id     string
	text   string
	drawn  bool // the block is on the screen
	rows   int  // how far above the cursor it begins
	tall   bool // it may have more than one line
	inline bool // the last write ended within a line, where nothing can be drawn
}

func (b *block) tty() bool { return b.isTerminal(os.Stderr) }

func (b *block) update(id, text string) {
	if !b.tty() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if id != b.id {
		b.leave()
	}
	b.id, b.text = id, text
	b.draw()
}

func (b *block) settle(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id == b.id {
		b.leave()
	}
}

// leave keeps what is on the screen; the lock is held.
func (b *block) leave() {
	if b.drawn && !b.tall {
		os.Stderr.WriteString("\n")
	}
	b.id, b.text, b.drawn, b.rows = "", "", false, 0
}

// write puts p above the block.
func (b *block) write(out *os.File, p []byte) (int, error) {
	if len(p) == 0 || !b.isTerminal(out) {
		return out.Write(p)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.id != "" {
		os.Stderr.WriteString(b.erased())
		b.drawn, b.rows = false, 0
	}
	n, err := out.Write(p)
	b.inline = !bytes.HasSuffix(p, []byte("\n"))
	if b.id != "" {
		b.draw()
	}
	return n, err
}

// erased moves to where the block begins and clears what follows.
func (b *block) erased() string {
	switch {
	case !b.drawn:
		return ""
	case b.rows == 0:
		return "\r\x1b[J"
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", b.rows)
}

// draw puts the text in the place of what is there, in one write, so that
// nothing flickers; the lock is held.
func (b *block) draw() {
	if b.inline {
		return
	}
	lines := strings.Split(strings.TrimRight(b.text, "\n"), "\n")
	width := Columns() - 1
	page := b.erased()
	b.drawn, b.rows = true, 0
	if !b.tall {
		os.Stderr.WriteString(page + cut(lines[0], width))
		return
	}
	_, height, err := term.GetSize(int(os.Stderr.Fd()))
	if most := max(height-2, 1); err == nil && len(lines) > most {
		lines = lines[:most]
	}
	for _, l := range lines {
		page += cut(l, width) + "\n"
	}
	b.rows = len(lines)
	os.Stderr.WriteString(page)
}

// cut shortens a line to a width: what wraps cannot be drawn over.
func cut(line string, width int) string {
	runes := []rune(line)
	if len(runes) <= width {
		return line
	}
	return string(runes[:width-1]) + "…"
}

// askTerminal reads a line from standard input, a byte at a time: what follows
// it is for whoever reads next.
func askTerminal(prompt string, password bool) (string, error) {
	fmt.Fprint(beside{os.Stderr}, prompt)
	if in := int(os.Stdin.Fd()); password && term.IsTerminal(in) {
		line, err := term.ReadPassword(in)
		fmt.Fprintln(beside{os.Stderr})
		return string(line), err
	}
	defer screen.answered()
	return readLine(os.Stdin)
}

// answered notes that the user's line end has ended the prompt's line.
func (b *block) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inline = false
}

// readLine reads to the end of a line, which it leaves out.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); ; {
		n, err := in.Read(one)
		switch {
		case n == 1 && one[0] == '\n':
			return strings.TrimSuffix(string(line), "\r"), nil
		case n == 1:
			line = append(line, one[0])
		case errors.Is(err, io.EOF) && len(line) > 0:
			return string(line), nil
		case err != nil:
			return "", err
		}
	}
}
