package zmtp

import (
	"net"
	"strings"
	"sync"
)

// A Peer is one connection.
type Peer struct {
	conn     net.Conn
	queue    *queue
	identity string

	mu            sync.Mutex
	subscriptions map[string]int
}

// Identity is the name the peer has given itself, or one that no other has.
func (p *Peer) Identity() string { return p.identity }

// Send queues a message, whose bytes must not change any more. One that may be
// lost is dropped if the peer is far behind.
func (p *Peer) Send(m Message, droppable bool) {
	if p.queue.push(m, droppable) {
		p.conn.Close()
	}
}

// pong answers a PING.
func (p *Peer) pong(context []byte) { p.queue.pushCommand(append([]byte("\x04PONG"), context...)) }

// subscribe notes a subscription or its end; it reports whether it is new.
func (p *Peer) subscribe(topic string, on bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on {
		p.subscriptions[topic]++
		return p.subscriptions[topic] == 1
	}
	if p.subscriptions[topic]--; p.subscriptions[topic] <= 0 {
		delete(p.subscriptions, topic)
	}
	return false
}

func (p *Peer) wants(topic []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.subscriptions {
		if strings.HasPrefix(string(topic), t) {
			return true
		}
	}
	return false
}
