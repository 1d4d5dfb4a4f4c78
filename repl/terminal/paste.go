package terminal

import (
	"bytes"
	"io"
	"strings"
)

// The line editor knows neither pasted newlines nor tabs: it would submit the
// one and swallow the other. These stand for them while a line is edited.
const (
	newlineMark = '⏎'
	tabMark     = '⇥'
)

// Marks around pasted text, once the terminal was asked for them.
const (
	askForPaste = "\x1b[?2004h"
	stopAsking  = "\x1b[?2004l"
	pasteBegins = "\x1b[200~"
	pasteEnds   = "\x1b[201~"
)

var toMarks = strings.NewReplacer("\r\n", string(newlineMark), "\r", string(newlineMark), "\n", string(newlineMark), "\t", string(tabMark))

var fromMarks = strings.NewReplacer(string(newlineMark), "\n", string(tabMark), "\t")

// pasteReader passes a terminal's input on and turns a bracketed paste into one
// line, with marks for its newlines and tabs.
type pasteReader struct {
	in      io.Reader
	pending []byte // input that may be the beginning of a mark
	ready   []byte
	paste   []byte
	pasting bool
	err     error
}

func newPasteReader(in io.Reader) *pasteReader { return &pasteReader{in: in} }

func (r *pasteReader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		var buf [4096]byte
		n, err := r.in.Read(buf[:])
		r.err = err
		r.pending = append(r.pending, buf[:n]...)
		r.advance()
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// Close ends nothing: the terminal belongs to the process.
func (r *pasteReader) Close() error { return nil }

func (r *pasteReader) advance() {
	for len(r.pending) > 0 {
		mark := pasteBegins
		if r.pasting {
			mark = pasteEnds
		}
		i := bytes.Index(r.pending, []byte(mark))
		if i >= 0 {
			r.take(r.pending[:i])
			r.pending = r.pending[i+len(mark):]
			if r.pasting {
				text := strings.TrimRight(string(r.paste), "\r\n")
				r.ready = append(r.ready, toMarks.Replace(text)...)
				r.paste = nil
			}
			r.pasting = !r.pasting
			continue
		}
		keep := partial(r.pending, mark)
		r.take(r.pending[:len(r.pending)-keep])
		r.pending = r.pending[len(r.pending)-keep:]
		return
	}
}

func (r *pasteReader) take(b []byte) {
	if r.pasting {
		r.paste = append(r.paste, b...)
	} else {
		r.ready = append(r.ready, b...)
	}
}

// partial is how many of b's last bytes may begin the mark. A lone escape is a
// key of its own.
func partial(b []byte, mark string) int {
	for n := min(len(b), len(mark)-1); n > 1; n-- {
		if strings.HasPrefix(mark, string(b[len(b)-n:])) {
			return n
		}
	}
	return 0
}
