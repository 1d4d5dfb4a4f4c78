package jupyter

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink collects what streams send.
type sink struct {
	mu   sync.Mutex
	sent []string
}

func (s *sink) send(e *execution, name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, fmt.Sprintf("%s %s: %s", e.name, name, text))
}

func (s *sink) expect(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Join(s.sent, "|") != strings.Join(want, "|") {
		t.Errorf("sent %q, want %q", s.sent, want)
	}
	s.sent = nil
}

func TestStreamsCoalesce(t *testing.T) {
	a, b, to := &execution{name: "a"}, &execution{name: "b"}, &sink{}
	s := newStreams(to.send)
	for _, w := range []struct {
		e          *execution
		name, text string
	}{{a, stdout, "1"}, {a, stdout, "2"}, {a, stderr, "3"}, {b, stderr, "4"}, {b, stderr, "5"}, {a, stdout, "6"}} {
		s.write(w.e, w.name, []byte(w.text))
	}
	to.expect(t)
	s.flush(true)
	to.expect(t, "a stdout: 12", "a stderr: 3", "b stderr: 45", "a stdout: 6")
	s.flush(true)
	to.expect(t)
}

// What is written is sent after a while without anyone asking.
func TestStreamsFlushThemselves(t *testing.T) {
	a, to := &execution{name: "a"}, &sink{}
	s := newStreams(to.send)
	s.write(a, stdout, []byte("x"))
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		to.mu.Lock()
		n := len(to.sent)
		to.mu.Unlock()
		if n > 0 {
			break
		}
	}
	to.expect(t, "a stdout: x")
}

func TestStreamsKeepCharactersWhole(t *testing.T) {
	a, to := &execution{name: "a"}, &sink{}
	s := newStreams(to.send)
	s.write(a, stdout, []byte("ż🙂"[:4]))
	s.flush(false)
	to.expect(t, "a stdout: ż")
	s.write(a, stdout, []byte("ż🙂"[4:]))
	s.flush(false)
	to.expect(t, "a stdout: 🙂")
	s.write(a, stdout, []byte("x\xc5"))
	s.flush(true)
	to.expect(t, "a stdout: x\uFFFD")
	s.write(a, stdout, []byte("\xff\xffy"))
	s.flush(false)
	to.expect(t, "a stdout: \uFFFDy")
}

// Much output is sent in parts, without waiting for the end.
func TestStreamsBounds(t *testing.T) {
	a, to := &execution{name: "a"}, &sink{}
	s := newStreams(to.send)
	s.write(a, stdout, make([]byte, 3*streamPart+1))
	s.flush(true)
	size := 0
	for _, m := range to.sent {
		n := len(m) - len("a stdout: ")
		if size += n; n > streamPart {
			t.Errorf("a message of %d bytes", n)
		}
	}
	if size != 3*streamPart+1 {
		t.Errorf("%d bytes sent", size)
	}
}

// Goroutines belong to the cell that started them, however indirectly.
func TestOrigins(t *testing.T) {
	var o origins
	found := make(chan *execution)
	ask := make(chan bool)
	cells := []*execution{{name: "first"}, {name: "second"}}
	go func() {
		for _, e := range cells {
			o.mark(e)
			go func() {
				go func() {
					<-ask
					found <- o.find()
				}()
			}()
			if o.find() != e {
				t.Errorf("%s does not find itself", e.name)
			}
		}
		close(ask)
	}()
	got := map[*execution]bool{<-found: true, <-found: true}
	if !got[cells[0]] || !got[cells[1]] {
		t.Errorf("found %v", got)
	}
	if o.find() != nil {
		t.Error("a goroutine of no cell has one")
	}
}
