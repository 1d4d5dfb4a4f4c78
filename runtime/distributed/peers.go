package distributed

import (
	"fmt"
	"sync/atomic"

	"dpolab/kernels"
)

// peerGroup is a ProcessGroup of ranks that share one GPU, each with queues of
// its own, in one context: they read each other's memory on the device. The
// host threads meet as those of a localGroup do, but only to hand each other
// events; nobody waits for the device.
type peerGroup struct {
	localGroup
	peers kernels.Peers
}

// shared is an event with several users, the last of whom gives it back.
type shared struct {
	kernels.Event
	users atomic.Int32
}

func share(e kernels.Event, users int) *shared {
	s := &shared{Event: e}
	s.users.Store(int32(users))
	return s
}

func (s *shared) release() {
	if s.users.Add(-1) == 0 {
		s.Event.Release()
	}
}

func (g *peerGroup) Overlaps() bool { return g.Size() > 1 }

// exchange hands this rank's call and the point that its second queue has
// reached to the others, and makes that queue go on only when all have reached
// theirs.
func (g *peerGroup) exchange(mine call) []call {
	mine.ready = share(g.peers.Record(kernels.Transfer), g.Size())
	calls, err := g.meeting.exchange(g.rank, mine, of(mine.name, g.module))
	if err == nil {
		err = g.meeting.agree(g.rank, calls)
	}
	if err != nil {
		g.leave(mine.name, err)
	}
	for _, c := range calls {
		g.peers.Wait(kernels.Transfer, c.ready.Event)
		c.ready.release()
	}
	return calls
}

// begin is exchange at the beginning of a collective: behind what the ranks
// have computed so far, too.
func (g *peerGroup) begin(mine call) []call {
	computed := g.peers.Record(kernels.Compute)
	g.peers.Wait(kernels.Transfer, computed)
	computed.Release()
	return g.exchange(mine)
}

// finish ends a collective: what any rank computes after Wait comes after all
// have read its memory.
func (g *peerGroup) finish(name string) *Work {
	g.exchange(call{name: name})
	e := g.peers.Record(kernels.Transfer)
	return NewWork(func() {
		g.peers.Wait(kernels.Compute, e)
		e.Release()
	})
}

func (g *peerGroup) AllGather(pieces []Piece) { g.StartAllGather(pieces).Wait() }

func (g *peerGroup) StartAllGather(pieces []Piece) *Work {
	const name = "all-gather"
	requireDivided(name, pieces, g.rank, g.meeting.members)
	requireOneType(name, pieces)
	for r, c := range g.begin(call{name: name, pieces: pieces}) {
		for i, p := range c.pieces {
			o := pieces[i].Offsets
			dst := pieces[i].Whole.Slice(o[r], o[r+1])
			if dst.Len > 0 && dst.Data != p.Part.Data {
				g.peers.CopyPeer(dst, p.Part)
			}
		}
	}
	return g.finish(name)
}

func (g *peerGroup) ReduceScatter(pieces []Piece) { g.StartReduceScatter(pieces).Wait() }

func (g *peerGroup) StartReduceScatter(pieces []Piece) *Work {
	const name = "reduce-scatter"
	requireDivided(name, pieces, g.rank, g.meeting.members)
	requireSummable(name, pieces)
	calls := g.begin(call{name: name, pieces: pieces})
	for i, p := range pieces {
		g.sumRun(p.Part, calls, i, p.Offsets[g.rank], p.Offsets[g.rank+1])
	}
	return g.finish(name)
}

// sumRun stores in dst the sum over ranks of elements [lo, hi) of array i.
func (g *peerGroup) sumRun(dst kernels.Array, calls []call, i, lo, hi int) {
	if hi == lo {
		return
	}
	srcs := make([]kernels.Array, len(calls))
	for r, c := range calls {
		srcs[r] = c.pieces[i].Whole.Slice(lo, hi)
	}
	g.peers.SumPeers(dst, srcs)
}

func (g *peerGroup) AllReduce(arrays []kernels.Array) { g.StartAllReduce(arrays).Wait() }

func (g *peerGroup) StartAllReduce(arrays []kernels.Array) *Work {
	const name = "all-reduce"
	pieces := divided(arrays, g.Size())
	requireSummable(name, pieces)
	calls := g.begin(call{name: name, pieces: pieces})
	all := make([][]Piece, len(calls))
	for r, c := range calls {
		all[r] = c.pieces
	}
	// Each rank sums its own run in place, then everybody copies the runs.
	for i, p := range pieces {
		lo, hi := p.Offsets[g.rank], p.Offsets[g.rank+1]
		g.sumRun(p.Whole.Slice(lo, hi), calls, i, lo, hi)
	}
	g.exchange(call{name: name})
	for r, theirs := range all {
		for i, p := range theirs {
			if lo, hi := p.Offsets[r], p.Offsets[r+1]; r != g.rank && hi > lo {
				g.peers.CopyPeer(pieces[i].Whole.Slice(lo, hi), p.Whole.Slice(lo, hi))
			}
		}
	}
	return g.finish(name)
}

func (g *peerGroup) Broadcast(arrays []kernels.Array, root int) {
	requireRoot(root, g.Size())
	name := fmt.Sprintf("broadcast from %d", root)
	calls := g.begin(call{name: name, pieces: whole(arrays)})
	if g.rank != root {
		for i, p := range calls[root].pieces {
			if p.Whole.Len > 0 {
				g.peers.CopyPeer(arrays[i], p.Whole)
			}
		}
	}
	g.finish(name).Wait()
}
