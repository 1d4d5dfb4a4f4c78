package zmtp

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// A Kind is what a socket is, as peers know it.
type Kind string

const (
	Router Kind = "ROUTER" // answers the peer that asked
	XPub   Kind = "XPUB"   // tells all peers that have subscribed
	Rep    Kind = "REP"    // answers one request after the other
)

// takes tells which peers may connect.
func (k Kind) takes(peer string) bool {
	switch k {
	case Router:
		return peer == "DEALER" || peer == "REQ" || peer == "ROUTER"
	case XPub:
		return peer == "SUB" || peer == "XSUB"
	}
	return peer == "REQ" || peer == "DEALER"
}

// Handler says what happens with what peers send. It is called on the goroutine
// of the peer's connection.
type Handler struct {
	// Receive takes a message.
	Receive func(p *Peer, m Message)
	// Subscribed is told of a peer's new subscription.
	Subscribed func(p *Peer, topic string)
	// Log takes lines about peers that were turned away; nil drops them.
	Log func(format string, args ...any)
}

// A Socket listens, and talks to every peer that connects.
type Socket struct {
	kind     Kind
	handler  Handler
	listener net.Listener

	mu     sync.Mutex
	joined sync.Cond // a peer has connected, or the socket was closed
	peers  map[*Peer]bool
	byName map[string]*Peer // the newest peer of each identity
	closed bool
	done   sync.WaitGroup
}

// Listen opens a socket at tcp://HOST:PORT or ipc://PATH.
func Listen(kind Kind, address string, h Handler) (*Socket, error) {
	network, at, ok := strings.Cut(address, "://")
	switch {
	case ok && network == "tcp":
	case ok && network == "ipc":
		network = "unix"
		// What a killed process left behind would refuse the address for ever.
		if c, err := net.Dial("unix", at); err == nil {
			c.Close()
		} else if st, err := os.Lstat(at); err == nil && st.Mode()&os.ModeSocket != 0 {
			os.Remove(at)
		}
	default:
		return nil, fmt.Errorf("zmtp: address %q: want tcp://HOST:PORT or ipc://PATH", address)
	}
	l, err := net.Listen(network, at)
	if err != nil {
		return nil, fmt.Errorf("zmtp: %w", err)
	}
	if h.Log == nil {
		h.Log = func(string, ...any) {}
	}
	s := &Socket{kind: kind, handler: h, listener: l, peers: map[*Peer]bool{}, byName: map[string]*Peer{}}
	s.joined.L = &s.mu
	s.done.Add(1)
	go s.accept()
	return s, nil
}

// Addr is where the socket listens.
func (s *Socket) Addr() net.Addr { return s.listener.Addr() }

func (s *Socket) accept() {
	defer s.done.Done()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed {
				return
			}
			s.handler.Log("zmtp: %v", err) // such as too many open files
			time.Sleep(50 * time.Millisecond)
			continue
		}
		s.done.Add(1)
		go s.serve(c)
	}
}

// patience is how long a peer may take to introduce itself.
const patience = 10 * time.Second

// serve talks to one peer until either side ends it.
func (s *Socket) serve(c net.Conn) {
	defer s.done.Done()
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	c.SetDeadline(time.Now().Add(patience))
	identity, err := handshake(r, c, s.kind)
	if err != nil {
		if err != io.EOF {
			s.handler.Log("%v (from %v)", err, c.RemoteAddr())
		}
		return
	}
	c.SetDeadline(time.Time{})
	p := &Peer{conn: c, queue: newQueue(), identity: identity, subscriptions: map[string]int{}}
	if identity == "" {
		p.identity = "\x00" + rand.Text() // no peer may ask for one with a zero byte in front
	}
	if !s.join(p) {
		return
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := p.queue.drain(c); err != nil {
			c.Close()
			return
		}
		// The peer reads to the end before it hangs up; hanging up first could
		// lose what it has not read.
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
		c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	}()
	if err := s.read(p, r); err != nil && err != io.EOF && !p.queue.isClosed() {
		s.handler.Log("%v (from %v)", err, c.RemoteAddr())
	}
	s.leave(p)
	if p.queue.isClosed() {
		<-sent // Close has asked for what is left to be written, and waits as long as it wants
	}
	c.Close()
	p.queue.close()
	<-sent
}

func (s *Socket) join(p *Peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.peers[p] = true
	// A peer that comes back under its name may be quicker than the news that
	// its old connection is gone.
	s.byName[p.identity] = p
	s.joined.Broadcast()
	return true
}

func (s *Socket) leave(p *Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, p)
	if s.byName[p.identity] == p {
		delete(s.byName, p.identity)
	}
}

// read hands a peer's messages to the handler until the connection ends.
func (s *Socket) read(p *Peer, r *bufio.Reader) error {
	for {
		var m Message
		left := maxMessage
		for {
			flags, body, err := readFrame(r, left)
			if err != nil {
				return err
			}
			if flags&command != 0 {
				if err := s.command(p, body); err != nil {
					return err
				}
				continue
			}
			m, left = append(m, body), left-len(body)
			if flags&more == 0 {
				break
			}
			if len(m) == maxFrames {
				return fmt.Errorf("zmtp: message of more than %d frames", maxFrames)
			}
		}
		switch {
		case s.kind == XPub && len(m) == 1 && len(m[0]) > 0 && m[0][0] <= 1:
			s.subscribe(p, string(m[0][1:]), m[0][0] == 1)
		case s.kind != XPub && s.handler.Receive != nil:
			s.handler.Receive(p, m)
		}
	}
}

// command obeys the commands of ZMTP 3.1, which peers of ours need not know.
func (s *Socket) command(p *Peer, body []byte) error {
	if len(body) == 0 || len(body) < 1+int(body[0]) {
		return fmt.Errorf("zmtp: command cut short")
	}
	name, data := string(body[1:1+body[0]]), body[1+body[0]:]
	switch name {
	case "PING": // two bytes of patience, then what the answer repeats
		if len(data) < 2 {
			return fmt.Errorf("zmtp: PING cut short")
		}
		p.pong(data[2:])
	case "SUBSCRIBE", "CANCEL":
		if s.kind == XPub {
			s.subscribe(p, string(data), name == "SUBSCRIBE")
		}
	case "ERROR":
		return fmt.Errorf("zmtp: the peer reports an error: %.80q", data)
	}
	return nil
}

func (s *Socket) subscribe(p *Peer, topic string, on bool) {
	if p.subscribe(topic, on) && s.handler.Subscribed != nil {
		s.handler.Subscribed(p, topic)
	}
}

// Publish sends a message to all peers that have subscribed to a prefix of its
// first frame. One that may be lost is dropped for peers that are far behind.
func (s *Socket) Publish(m Message, droppable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		if p.wants(m[0]) {
			p.Send(m, droppable)
		}
	}
}

// Ready waits until no peer has more than n bytes waiting, beside peers that
// have stopped reading, or until stop is closed.
func (s *Socket) Ready(n int, stop <-chan struct{}) {
	for s.behind(n) {
		select {
		case <-stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (s *Socket) behind(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		if bytes, stalled := p.queue.backlog(); bytes > n && !stalled {
			return true
		}
	}
	return false
}

// Peer returns the connected peer of an identity, waiting for it until the
// deadline.
func (s *Socket) Peer(identity string, deadline time.Time) *Peer {
	t := time.AfterFunc(time.Until(deadline), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.joined.Broadcast()
	})
	defer t.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if p := s.byName[identity]; p != nil || s.closed || !time.Now().Before(deadline) {
			return p
		}
		s.joined.Wait()
	}
}

// Close stops listening and ends all connections, after what is queued for them
// has been written or the time has passed.
func (s *Socket) Close(linger time.Duration) error {
	s.mu.Lock()
	s.closed = true
	for p := range s.peers {
		p.queue.close()
	}
	s.joined.Broadcast()
	s.mu.Unlock()
	err := s.listener.Close()
	ended := make(chan struct{})
	go func() { s.done.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(linger):
		s.mu.Lock()
		for p := range s.peers {
			p.conn.Close()
		}
		s.mu.Unlock()
	}
	return err
}
