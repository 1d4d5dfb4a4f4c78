package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Group is one process's end of a job whose processes have met. Its calls are
// not to be made by several goroutines at once; Fail, Err and Failed may.
type Group struct {
	place Place
	links []*link // rank 0: of each rank, its own is nil; others: one, to rank 0
	// arrived are the parts of a call and its answer, in order.
	arrived chan message
	stop    chan struct{}
	failed  chan struct{}
	once    sync.Once
	err     error
	closing sync.Once
	readers sync.WaitGroup
}

// Join meets the other processes at place.Address, and waits for all of them or
// for the end of ctx.
func Join(ctx context.Context, place Place) (*Group, error) {
	g := &Group{place: place, arrived: make(chan message, 2*place.World), stop: make(chan struct{}), failed: make(chan struct{})}
	meet := g.dial
	if place.Rank == 0 {
		meet = g.listen
	}
	if err := meet(ctx); err != nil {
		for _, l := range g.links {
			if l != nil {
				l.conn.Close()
			}
		}
		return nil, g.errorf("join at %s: %w", place.Address, err)
	}
	for rank, l := range g.links {
		if l == nil {
			continue
		}
		if place.Rank != 0 {
			rank = 0
		}
		g.readers.Add(2)
		go g.read(l, rank)
		go g.beat(l)
	}
	return g, nil
}

// listen is rank 0's side of Join.
func (g *Group) listen(ctx context.Context) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", g.place.Address)
	if err != nil {
		return err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	g.links = make([]*link, g.place.World)
	for met := 1; met < g.place.World; {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %d of %d processes came", context.Cause(ctx), met, g.place.World)
			}
			return err
		}
		l := newLink(conn)
		m, err := l.receive()
		why := ""
		switch {
		case err != nil || m.Kind != hello || m.Name != g.place.Job: // a stranger
			conn.Close()
			continue
		case m.Rank < 1 || m.Rank >= g.place.World:
			why = fmt.Sprintf("want a rank from 1 to %d, got %d", g.place.World-1, m.Rank)
		case g.links[m.Rank] != nil:
			why = fmt.Sprintf("rank %d is here already", m.Rank)
		}
		if why != "" {
			l.send(message{Kind: failed, Rank: m.Rank, Name: why})
			conn.Close()
			return errors.New(why)
		}
		g.links[m.Rank] = l
		met++
	}
	for _, l := range g.links[1:] {
		if err := l.send(message{Kind: welcome}); err != nil {
			return err
		}
	}
	return nil
}

// dial is the other ranks' side of Join. Rank 0 may come up later.
func (g *Group) dial(ctx context.Context) error {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", g.place.Address)
		if err == nil {
			l := newLink(conn)
			if err = l.send(message{Kind: hello, Rank: g.place.Rank, Name: g.place.Job}); err == nil {
				err = g.welcomed(ctx, l)
			}
			if err == nil {
				g.links = []*link{l}
				return nil
			}
			conn.Close()
			if errors.Is(err, errRefused) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(interval / 10):
		}
	}
}

var errRefused = errors.New("turned away")

// welcomed waits until all have come, which may take as long as ctx lets it.
func (g *Group) welcomed(ctx context.Context, l *link) error {
	defer context.AfterFunc(ctx, func() { l.conn.Close() })()
	var m message
	l.conn.SetReadDeadline(time.Time{})
	if err := l.dec.Decode(&m); err != nil {
		return err
	}
	if m.Kind != welcome {
		return fmt.Errorf("%w: %s", errRefused, m.Name)
	}
	return nil
}

// Place is where this process stands.
func (g *Group) Place() Place { return g.place }

// read sorts what comes over a link until it ends.
func (g *Group) read(l *link, rank int) {
	defer g.readers.Done()
	for {
		m, err := l.receive()
		select {
		case <-g.stop:
			return
		default:
		}
		switch {
		case err != nil:
			g.fail(rank, fmt.Errorf("rank %d left: %w", rank, err))
			return
		case m.Kind == failed:
			g.fail(m.Rank, errors.New(m.Name))
		case m.Kind == exchange:
			g.arrived <- m
		case m.Kind == leave && g.place.Rank != 0:
			g.fail(rank, fmt.Errorf("rank %d left", rank))
			return
		case m.Kind == leave:
			g.arrived <- message{Kind: leave, Rank: rank}
			return
		}
	}
}

func (g *Group) beat(l *link) {
	defer g.readers.Done()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-tick.C:
			if l.send(message{Kind: beat}) != nil {
				return // the reader says why
			}
		}
	}
}

// fail makes err the group's, and as rank 0 tells the others.
func (g *Group) fail(rank int, err error) {
	g.once.Do(func() {
		g.err = err
		defer close(g.failed) // the others know before this process may leave
		if g.place.Rank == 0 {
			for other, l := range g.links {
				if l != nil && other != rank {
					l.send(message{Kind: failed, Rank: rank, Name: err.Error()})
				}
			}
		}
	})
}

// Fail tells all ranks that this one cannot go on.
func (g *Group) Fail(err error) {
	err = fmt.Errorf("rank %d failed: %w", g.place.Rank, err)
	g.fail(g.place.Rank, err)
	if g.place.Rank != 0 {
		g.links[0].send(message{Kind: failed, Rank: g.place.Rank, Name: err.Error()})
	}
}

// Failed is closed when a rank has failed, died or fallen silent.
func (g *Group) Failed() <-chan struct{} { return g.failed }

// Err says which rank failed and why, nil if none has.
func (g *Group) Err() error {
	select {
	case <-g.failed:
		return g.errorf("%w", g.err)
	default:
		return nil
	}
}

// Close leaves the group. The others can do no more together.
func (g *Group) Close() {
	g.closing.Do(func() {
		close(g.stop)
		for _, l := range g.links {
			if l != nil {
				l.send(message{Kind: leave, Rank: g.place.Rank})
				l.conn.Close()
			}
		}
		g.readers.Wait()
	})
}

func (g *Group) errorf(format string, args ...any) error {
	return fmt.Errorf("rendezvous: rank %d: "+format, append([]any{g.place.Rank}, args...)...)
}
