package jupyter

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Names of streams.
const (
	stdout = "stdout"
	stderr = "stderr"
)

// coalesce is how long output waits for more of it: a front end takes a
// thousand messages a second at most, and a loop prints more lines than that.
const coalesce = 50 * time.Millisecond

// streams gathers what cells write into few messages, in the order written.
type streams struct {
	send func(e *execution, name, text string)

	sending sync.Mutex // held while messages are sent, to keep their order

	mu     sync.Mutex
	parts  []part
	size   int
	timer  *time.Timer
	queued bool // the timer runs
}

// part is output of one cell to one stream.
type part struct {
	cell *execution
	name string
	text []byte
}

func newStreams(send func(e *execution, name, text string)) *streams {
	s := &streams{send: send}
	s.timer = time.AfterFunc(time.Hour, func() { s.flush(false) })
	s.timer.Stop()
	return s
}

// write takes output of a cell. It waits while readers are far behind.
func (s *streams) write(e *execution, name string, text []byte) {
	for len(text) > 0 {
		n := min(len(text), streamPart)
		s.add(e, name, text[:n])
		text = text[n:]
	}
}

func (s *streams) add(e *execution, name string, text []byte) {
	s.mu.Lock()
	if n := len(s.parts); n > 0 && s.parts[n-1].cell == e && s.parts[n-1].name == name {
		s.parts[n-1].text = append(s.parts[n-1].text, text...)
	} else {
		s.parts = append(s.parts, part{e, name, append([]byte(nil), text...)})
	}
	s.size += len(text)
	full := s.size >= streamPart
	if !full && !s.queued {
		s.queued = true
		s.timer.Reset(coalesce)
	}
	s.mu.Unlock()
	if full {
		s.flush(false)
	}
}

// flush sends what there is. A character whose last bytes are still to come
// waits for them, unless this is the end.
func (s *streams) flush(end bool) {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	parts := s.parts
	s.parts, s.size, s.queued = nil, 0, false
	s.timer.Stop()
	if n := len(parts); n > 0 && !end {
		last := &parts[n-1]
		if cut := incompleteRune(last.text); cut > 0 {
			at := len(last.text) - cut
			s.parts = []part{{last.cell, last.name, append([]byte(nil), last.text[at:]...)}}
			s.size, s.queued = cut, true
			s.timer.Reset(coalesce)
			last.text = last.text[:at]
		}
	}
	s.mu.Unlock()
	for _, p := range parts {
		if len(p.text) > 0 {
			s.send(p.cell, p.name, strings.ToValidUTF8(string(p.text), "\uFFFD"))
		}
	}
}

// incompleteRune is how many bytes at the end begin a character that is not
// whole.
func incompleteRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		c := b[len(b)-n]
		if utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// cellWriter is where a session's cells print.
type cellWriter struct {
	kernel *Kernel
	name   string
}

func (w cellWriter) Write(p []byte) (int, error) {
	k := w.kernel
	k.drain()
	k.streams.write(k.origin(), w.name, p)
	return len(p), nil
}

// settle sends all output that has been written so far.
func (k *Kernel) settle() {
	k.drain()
	k.streams.flush(true)
}
