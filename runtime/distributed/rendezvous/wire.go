package rendezvous

import (
	"encoding/gob"
	"net"
	"sync"
	"time"
)

// message is what goes over a connection, in both directions.
type message struct {
	Kind kind
	Rank int    // who sends it, or whom it is about
	Name string // of the call, or of the job
	Data []byte
	All  [][]byte // the answer to an exchange
}

type kind uint8

const (
	hello kind = iota + 1 // the first message: rank and job
	welcome
	exchange // a rank's part of a call, and rank 0's answer
	beat
	failed // of rank Rank: Name says how
	leave
)

// link is a connection with whole messages.
type link struct {
	conn net.Conn
	dec  *gob.Decoder
	mu   sync.Mutex // one writer at a time
	enc  *gob.Encoder
}

func newLink(conn net.Conn) *link {
	return &link{conn: conn, dec: gob.NewDecoder(conn), enc: gob.NewEncoder(conn)}
}

func (l *link) send(m message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn.SetWriteDeadline(time.Now().Add(silence))
	return l.enc.Encode(m)
}

func (l *link) receive() (m message, err error) {
	l.conn.SetReadDeadline(time.Now().Add(silence))
	err = l.dec.Decode(&m)
	return m, err
}

// A link on which nothing came for silence is dead. Tests shorten both.
var (
	interval = time.Second
	silence  = 5 * time.Second
)
