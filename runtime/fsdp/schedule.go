package fsdp

import (
	"dpolab/kernels"
	"dpolab/runtime/distributed"
	"dpolab/runtime/tensor"
)

// schedule is what the groups of a model know of each other: who comes next,
// and what is under way beside the computation. At any time at most one group
// is gathered ahead of its turn and at most one waits for its gradients to be
// reduced, so the memory this takes is bounded by two blocks.
//
// Groups whose collectives and transfers do not overlap with anything (the
// CPU's) are neither gathered ahead nor reduced behind.
type schedule struct {
	last   *group     // to be gathered in this forward, nil before the first
	final  *group     // the block whose backward comes first
	ahead  *group     // gathered, or being gathered, before its turn
	behind *reduction // started, and not added to the masters' gradients yet
	open   int        // groups that the end of this backward pass will reduce
}

// gathering is an all-gather under way.
type gathering struct {
	work           *distributed.Work
	sent           []*tensor.Tensor // what goes to other ranks, where that is not the master itself
	mail           []letter         // what comes from the host first
	casts, masters []kernels.Array  // what is cast first, and from what
}

func (p *gathering) release() {
	for _, t := range p.sent {
		t.Release()
	}
}

// enter is called when forward comes to g: its parameters are there when it
// returns, and those of the group that followed it last time are on their way.
func (s *schedule) enter(g *group) {
	g.unshard()
	if g.root {
		s.last = nil
	} else {
		if s.last != nil && s.last != g {
			s.last.next, g.previous = g, s.last
		}
		s.last, s.final = g, g
	}
	s.prefetch(g.next)
}

// enterBackward is enter for the way back.
func (s *schedule) enterBackward(g *group) {
	g.unshard()
	if g.root {
		s.prefetch(s.final)
	} else {
		s.prefetch(g.previous)
	}
}

func (s *schedule) prefetch(g *group) {
	if g == nil || g.whole || g.gathering != nil || !g.runsAhead() {
		return
	}
	g.start()
	s.ahead = g
}

// turn is called when g's turn has come. What was gathered ahead for another
// turn, because the model took another way than last time, is dropped.
func (s *schedule) turn(g *group) {
	if other := s.ahead; other != nil && other != g {
		other.arrive()
		other.drop()
	}
	s.ahead = nil
}

// follow makes r, which is about to be started, the reduction under way; the
// one before it is completed first.
func (s *schedule) follow(r *reduction) {
	s.settle()
	s.behind = r
}

// settle completes the reduction that is under way.
func (s *schedule) settle() {
	if r := s.behind; r != nil {
		s.behind = nil
		r.g.dev.NoGrad(func() { r.g.dev.Scope(func() *tensor.Tensor { r.complete(); return nil }) })
	}
}

// recover forgets what a failed step has left; the device stands still.
func (s *schedule) recover() {
	if s.behind != nil {
		s.behind.release()
	}
	final := s.final
	*s = schedule{final: final}
}
