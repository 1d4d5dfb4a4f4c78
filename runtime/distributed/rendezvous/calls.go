package rendezvous

import (
	"fmt"
)

// AllGather returns every rank's data, in the order of the ranks.
func (g *Group) AllGather(name string, data []byte) ([][]byte, error) {
	if err := g.Err(); err != nil {
		return nil, err
	}
	call := g.gather
	if g.place.Rank != 0 {
		call = g.ask
	}
	all, err := call(message{Kind: exchange, Rank: g.place.Rank, Name: name, Data: data})
	if err != nil {
		return nil, g.errorf("%s: %w", name, err)
	}
	return all, nil
}

// Broadcast returns rank 0's data. What the others give is not looked at.
func (g *Group) Broadcast(name string, data []byte) ([]byte, error) {
	if g.place.Rank != 0 {
		data = nil
	}
	all, err := g.AllGather(name, data)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Barrier waits until every rank has called it.
func (g *Group) Barrier(name string) error {
	_, err := g.AllGather(name, nil)
	return err
}

// gather is rank 0's side of a call: it waits for all parts and answers.
func (g *Group) gather(own message) ([][]byte, error) {
	all := make([][]byte, g.place.World)
	all[0] = own.Data
	for range g.place.World - 1 {
		m, err := g.next()
		if err == nil && m.Name != own.Name {
			err = fmt.Errorf("rank %d is at %q, rank 0 at %q", m.Rank, m.Name, own.Name)
			g.fail(0, err)
		}
		if err != nil {
			return nil, err
		}
		all[m.Rank] = m.Data
	}
	for rank, l := range g.links {
		if l == nil {
			continue
		}
		if err := l.send(message{Kind: exchange, Name: own.Name, All: all}); err != nil {
			return nil, fmt.Errorf("rank %d: %w", rank, err)
		}
	}
	return all, nil
}

// ask is the other ranks' side.
func (g *Group) ask(own message) ([][]byte, error) {
	if err := g.links[0].send(own); err != nil {
		return nil, err
	}
	m, err := g.next()
	return m.All, err
}

// next is the next part of a call that came in.
func (g *Group) next() (message, error) {
	select {
	case m := <-g.arrived:
		if m.Kind == leave {
			err := fmt.Errorf("rank %d left", m.Rank)
			g.fail(m.Rank, err)
			return m, err
		}
		return m, nil
	case <-g.failed:
	}
	select { // an answer that came before the failure counts
	case m := <-g.arrived:
		if m.Kind == exchange {
			return m, nil
		}
	default:
	}
	return message{}, g.err
}
