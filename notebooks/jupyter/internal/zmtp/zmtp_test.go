package zmtp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// client is the other side of a connection, as far as the tests need it.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, s *Socket, kind, identity string) *client {
	t.Helper()
	c, err := net.Dial(s.Addr().Network(), s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	out := &client{t, c, bufio.NewReader(c)}
	ready := property(property([]byte("\x05READY"), "Socket-Type", kind), "Identity", identity)
	out.write(greeting())
	out.write(append(appendHead(nil, command, len(ready)), ready...))
	g := make([]byte, greetingSize)
	if _, err := io.ReadFull(out.r, g); err != nil {
		t.Fatal(err)
	}
	if flags, body, err := readFrame(out.r, 1000); err != nil || flags != command || !bytes.HasPrefix(body, []byte("\x05READY")) {
		t.Fatalf("handshake: %v %q %v", flags, body, err)
	}
	return out
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) send(frames ...string) {
	var b []byte
	for i, f := range frames {
		flags := byte(0)
		if i < len(frames)-1 {
			flags = more
		}
		b = append(appendHead(b, flags, len(f)), f...)
	}
	c.write(b)
}

func (c *client) receive() []string {
	c.t.Helper()
	var out []string
	for {
		flags, body, err := readFrame(c.r, maxMessage)
		if err != nil {
			c.t.Fatal(err)
		}
		out = append(out, string(body))
		if flags&more == 0 {
			return out
		}
	}
}

func (c *client) expect(frames ...string) {
	c.t.Helper()
	if got := c.receive(); strings.Join(got, "|") != strings.Join(frames, "|") {
		c.t.Errorf("received %.80q, want %.80q", got, frames)
	}
}

func listen(t *testing.T, kind Kind, address string, h Handler) *Socket {
	t.Helper()
	s, err := Listen(kind, address, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(0) })
	return s
}

func echo(p *Peer, m Message) { p.Send(m, false) }

func TestEcho(t *testing.T) {
	for _, address := range []string{"tcp://127.0.0.1:0", "ipc://" + t.TempDir() + "/s"} {
		s := listen(t, Router, address, Handler{Receive: echo})
		c := dial(t, s, "DEALER", "me")
		for _, frames := range [][]string{
			{"one"}, {""}, {"", "", ""}, {strings.Repeat("x", 255)}, {strings.Repeat("x", 256)}, {"a", strings.Repeat("y", 3<<20), "b"},
		} {
			c.send(frames...)
			c.expect(frames...)
		}
	}
}

// A leftover socket file of a killed process does not refuse its address.
func TestStaleSocketFile(t *testing.T) {
	at := t.TempDir() + "/s"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s := listen(t, Router, "ipc://"+at, Handler{Receive: echo})
	c := dial(t, s, "DEALER", "")
	c.send("x")
	c.expect("x")
}

func TestIdentities(t *testing.T) {
	names := make(chan string, 10)
	s := listen(t, Router, "tcp://127.0.0.1:0", Handler{Receive: func(p *Peer, m Message) { names <- p.Identity() }})
	for _, want := range []string{"a", "b"} {
		dial(t, s, "DEALER", want).send("x")
		if got := <-names; got != want {
			t.Errorf("identity %q, want %q", got, want)
		}
	}
	dial(t, s, "DEALER", "").send("x")
	dial(t, s, "DEALER", "").send("x")
	if a, b := <-names, <-names; a == "" || a == b {
		t.Errorf("peers without a name are %q and %q", a, b)
	}
	if s.Peer("nobody", time.Now().Add(10*time.Millisecond)) != nil {
		t.Error("found a peer that has not connected")
	}
	go func() {
		time.Sleep(20 * time.Millisecond)
		if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
			ready := property(property([]byte("\x05READY"), "Socket-Type", "DEALER"), "Identity", "late")
			c.Write(append(greeting(), append(appendHead(nil, command, len(ready)), ready...)...))
			io.Copy(io.Discard, c)
		}
	}()
	if s.Peer("late", time.Now().Add(5*time.Second)) == nil {
		t.Error("did not wait for a peer")
	}
	// The newest connection of a name is the one that is found.
	old := dial(t, s, "DEALER", "again")
	old.send("x")
	<-names
	first := s.Peer("again", time.Now())
	dial(t, s, "DEALER", "again").send("x")
	<-names
	second := s.Peer("again", time.Now())
	if first == second {
		t.Error("a peer that has come back is not found")
	}
	second.Send(Message{[]byte("to the new one")}, false)
	old.Close()
	time.Sleep(20 * time.Millisecond)
	if s.Peer("again", time.Now()) != second {
		t.Error("the end of the old connection hides the new one")
	}
}

func TestSubscriptions(t *testing.T) {
	topics := make(chan string, 10)
	s := listen(t, XPub, "tcp://127.0.0.1:0", Handler{Subscribed: func(p *Peer, topic string) {
		topics <- topic
		p.Send(Message{[]byte("welcome"), []byte(topic)}, false)
	}})
	all, some := dial(t, s, "SUB", ""), dial(t, s, "SUB", "")
	all.send("\x01")
	if got := <-topics; got != "" {
		t.Errorf("subscribed to %q", got)
	}
	body := "\x09SUBSCRIBEb" // the command of ZMTP 3.1
	some.write(append(appendHead(nil, command, len(body)), body...))
	if got := <-topics; got != "b" {
		t.Errorf("subscribed to %q", got)
	}
	all.expect("welcome", "")
	some.expect("welcome", "b")
	for _, topic := range []string{"a", "b", "bc"} {
		s.Publish(Message{[]byte(topic), []byte("x")}, false)
		all.expect(topic, "x")
	}
	some.expect("b", "x")
	some.expect("bc", "x")
	all.send("\x00")
	ping := "\x04PING\x00\x00context"
	all.write(append(appendHead(nil, command, len(ping)), ping...))
	all.expect("\x04PONGcontext") // so the end of the subscription has been read
	s.Publish(Message{[]byte("b"), []byte("last")}, false)
	some.expect("b", "last")
	all.write(append(appendHead(nil, command, len(ping)), ping...))
	all.expect("\x04PONGcontext")
}

// A subscriber that stops reading delays nobody, loses what may be lost, and is
// given up when it is too far behind.
func TestStalledSubscriber(t *testing.T) {
	subscribed := make(chan struct{}, 2)
	s := listen(t, XPub, "tcp://127.0.0.1:0", Handler{Subscribed: func(*Peer, string) { subscribed <- struct{}{} }})
	stalled, healthy := dial(t, s, "SUB", ""), dial(t, s, "SUB", "")
	for _, c := range []*client{stalled, healthy} {
		c.send("\x01")
		<-subscribed
	}
	block := bytes.Repeat([]byte("z"), 1<<20)
	read := make(chan int)
	go func() {
		n := 0
		for len(healthy.receive()[1]) > 0 {
			n++
		}
		read <- n
	}()
	const blocks = 40 // more than softLimit
	for range blocks {
		s.Ready(4<<20, nil)
		s.Publish(Message{[]byte("t"), block}, true)
	}
	s.Publish(Message{[]byte("t"), nil}, false)
	if n := <-read; n != blocks {
		t.Errorf("the healthy subscriber has %d blocks, want %d", n, blocks)
	}
	var queued int
	for p := range s.peers {
		n, _ := p.queue.backlog()
		queued = max(queued, n)
	}
	if queued > softLimit+2<<20 {
		t.Errorf("%d bytes wait for the stalled subscriber", queued)
	}
	for range (hardLimit >> 20) + 2 {
		s.Publish(Message{[]byte("none"), block}, false)
		healthy.receive()
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		n := len(s.peers)
		s.mu.Unlock()
		if n == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the stalled subscriber is still connected")
		}
	}
}

// What was sent before Close arrives.
func TestLinger(t *testing.T) {
	sent := make(chan struct{})
	s := listen(t, Router, "tcp://127.0.0.1:0", Handler{Receive: func(p *Peer, m Message) {
		for i := range 1000 {
			p.Send(Message{binary.BigEndian.AppendUint32(nil, uint32(i)), bytes.Repeat([]byte("x"), 10_000)}, false)
		}
		close(sent)
	}})
	c := dial(t, s, "DEALER", "")
	c.send("go")
	first := c.receive()
	<-sent
	go s.Close(time.Minute)
	for i := 1; i < 1000; i++ {
		if got := c.receive(); binary.BigEndian.Uint32([]byte(got[0])) != uint32(i) {
			t.Fatalf("message %d is %x", i, got[0])
		}
	}
	if _, err := c.r.ReadByte(); err != io.EOF || len(first) != 2 {
		t.Errorf("after the last message: %v, want the end", err)
	}
}

func TestStrangers(t *testing.T) {
	logged := make(chan string, 100)
	s := listen(t, Router, "tcp://127.0.0.1:0", Handler{Receive: echo, Log: func(format string, args ...any) { logged <- format }})
	old := greeting()
	old[10] = 1
	curve := greeting()
	copy(curve[12:], "CURVE")
	ready := func(kind string) []byte {
		r := property([]byte("\x05READY"), "Socket-Type", kind)
		return append(greeting(), append(appendHead(nil, command, len(r)), r...)...)
	}
	dealer := ready("DEALER")
	for name, sent := range map[string][]byte{
		"http":        []byte("GET / HTTP/1.1\r\n\r\n"),
		"old version": old,
		"curve":       curve,
		"subscriber":  ready("SUB"),
		"no ready":    append(greeting(), 0, 1, 'x'),
		"cut ready":   append(greeting(), command, 10, 5, 'R', 'E', 'A', 'D', 'Y', 200, 'x', 'y', 'z'),
		"huge frame":  append(bytes.Clone(dealer), long, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"bad flags":   append(bytes.Clone(dealer), 0xf0, 1, 'x'),
		"too many":    append(bytes.Clone(dealer), bytes.Repeat([]byte{more, 0}, maxFrames+1)...),
	} {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		c.Write(sent)
		if tcp, ok := c.(*net.TCPConn); ok && name == "cut ready" {
			tcp.CloseWrite()
		}
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: the connection was not closed: %v", name, err)
		}
		c.Close()
		select {
		case <-logged:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: nothing was logged", name)
		}
	}
	c := dial(t, s, "DEALER", "")
	c.send("still")
	c.expect("still")
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:0", "udp://127.0.0.1:0", "tcp://nowhere.invalid:0"} {
		if s, err := Listen(Router, address, Handler{}); err == nil {
			s.Close(0)
			t.Errorf("listens at %q", address)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 3, 'a', 'b', 'c'})
	f.Add([]byte{long, 0, 0, 0, 0, 0, 0, 0, 1, 'x'})
	f.Add([]byte{command, 5, 4, 'P', 'I', 'N', 'G'})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		for {
			if _, body, err := readFrame(r, 1<<20); err != nil {
				return
			} else if len(body) > len(data) {
				t.Fatalf("a frame of %d bytes from %d", len(body), len(data))
			}
		}
	})
}
