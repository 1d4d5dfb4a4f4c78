package zmtp

import (
	"io"
	"sync"
	"time"
)

// Limits of a peer's queue, in bytes: messages that may be lost are dropped
// above the first, and the connection is closed above the second.
const (
	softLimit = 16 << 20
	hardLimit = 64 << 20
)

// stalledAfter is how long a peer may take nothing before nobody waits for it.
const stalledAfter = 2 * time.Second

// outgoing is a message on its way, or a command.
type outgoing struct {
	frames  Message
	command bool
}

// queue holds what a peer has yet to be sent.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond // something was added, or the queue was closed
	waiting []outgoing
	bytes   int       // waiting, or being written
	moved   time.Time // when the peer last took something
	closed  bool
}

func newQueue() *queue {
	q := &queue{}
	q.changed.L = &q.mu
	return q
}

// push adds a message. full says that the peer is so far behind that it should
// be given up.
func (q *queue) push(m Message, droppable bool) (full bool) {
	return q.add(outgoing{frames: m}, droppable)
}

func (q *queue) pushCommand(body []byte) (full bool) {
	return q.add(outgoing{frames: Message{body}, command: true}, true)
}

func (q *queue) add(o outgoing, droppable bool) (full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := o.frames.size()
	switch {
	case q.closed, droppable && q.bytes > softLimit:
		return false
	case q.bytes > hardLimit:
		return true
	}
	if q.bytes == 0 {
		q.moved = time.Now()
	}
	q.bytes += n
	q.waiting = append(q.waiting, o)
	q.changed.Signal()
	return false
}

// close lets drain return once everything is written; later messages are lost.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.changed.Signal()
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// backlog is how many bytes wait, and whether the peer has stopped taking any.
func (q *queue) backlog() (bytes int, stalled bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes, q.bytes > 0 && time.Since(q.moved) > stalledAfter
}

// drain writes what is pushed until the queue is closed and empty, or a write
// fails.
func (q *queue) drain(w io.Writer) error {
	var buf []byte
	for {
		q.mu.Lock()
		for len(q.waiting) == 0 && !q.closed {
			q.changed.Wait()
		}
		batch := q.waiting
		q.waiting = nil
		q.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		for len(batch) > 0 {
			n, size := 0, 0
			for n < len(batch) && (n == 0 || size+batch[n].frames.size() <= cap(buf)) {
				size += batch[n].frames.size()
				n++
			}
			if err := q.write(w, batch[:n], &buf); err != nil {
				return err
			}
			clear(batch[:n])
			batch = batch[n:]
			q.mu.Lock()
			q.bytes -= size
			q.mu.Unlock()
		}
	}
}

// piece is how much is written at once: progress is noted after each.
const piece = 64 << 10

// write sends messages in one write if they are small, and in pieces if not.
func (q *queue) write(w io.Writer, batch []outgoing, buf *[]byte) error {
	if *buf == nil {
		*buf = make([]byte, 0, piece)
	}
	out := (*buf)[:0]
	flush := func() error {
		if len(out) == 0 {
			return nil
		}
		_, err := w.Write(out)
		out = out[:0]
		q.mu.Lock()
		q.moved = time.Now()
		q.mu.Unlock()
		return err
	}
	for _, o := range batch {
		for i, f := range o.frames {
			if len(out)+frameOverhead > piece {
				if err := flush(); err != nil {
					return err
				}
			}
			flags := byte(0)
			switch {
			case o.command:
				flags = command
			case i < len(o.frames)-1:
				flags = more
			}
			out = appendHead(out, flags, len(f))
			for len(f) > 0 {
				n := min(len(f), piece-len(out))
				out, f = append(out, f[:n]...), f[n:]
				if len(out) == piece {
					if err := flush(); err != nil {
						return err
					}
				}
			}
		}
	}
	return flush()
}
