package distributed

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// lobby is what all ranks of a world share about waiting: which rank waits
// where, and the failure that sends everybody home.
type lobby struct {
	mu       sync.Mutex
	err      error               // set by fail; every waiter leaves
	meetings map[string]*meeting // by their member list
	first    int                 // the number of ranks[0]
	ranks    []standing          // of this process
	idle     int                 // ranks that wait or have returned
	stop     chan struct{}       // closed by fail
}

// standing is where a rank is: computing (the zero value), waiting in a
// collective, or returned from World.Run's function.
type standing struct {
	waits    *meeting
	in       string
	since    time.Time
	returned bool
}

func newLobby(first, ranks int) *lobby {
	return &lobby{meetings: map[string]*meeting{}, first: first, ranks: make([]standing, ranks), stop: make(chan struct{})}
}

// meeting returns the meeting of the given ranks, making it the first time.
func (l *lobby) meeting(members []int) *meeting {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprint(members)
	m := l.meetings[key]
	if m == nil {
		n := len(members)
		m = &meeting{lobby: l, members: append([]int(nil), members...), calls: make([]call, n), turns: make([]int, n)}
		m.boards = [2][]call{make([]call, n), make([]call, n)}
		m.cond = sync.NewCond(&l.mu)
		l.meetings[key] = m
	}
	return m
}

// fail releases every rank that waits, now or later, with err. The first
// failure counts.
func (l *lobby) fail(err error) {
	l.mu.Lock()
	l.failLocked(err)
	l.mu.Unlock()
}

func (l *lobby) failLocked(err error) {
	if l.err == nil {
		l.err = err
		close(l.stop)
	}
	for _, m := range l.meetings {
		m.cond.Broadcast()
	}
}

// failure is what sent everybody home, nil if nothing has.
func (l *lobby) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// stopped is closed when something does.
func (l *lobby) stopped() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop
}

// overdue reports a rank that others have been waiting for too long; where says
// where a rank was last seen.
func (l *lobby) overdue(patience time.Duration, where func(rank int) string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range l.ranks {
		if s.waits == nil || time.Since(s.since) < patience {
			continue
		}
		for _, other := range s.waits.members {
			if o := l.ranks[other-l.first]; o.waits != s.waits {
				return fmt.Errorf("rank %d has not come to %s, where rank %d has been waiting for %s; %s",
					other, s.in, i+l.first, patience, where(other))
			}
		}
	}
	return nil
}

// returned notes that a rank takes part in nothing any more.
func (l *lobby) returned(rank int) {
	l.mu.Lock()
	l.stand(rank, standing{returned: true})
	l.mu.Unlock()
}

// stand notes where a rank has stopped. When no rank is computing, those that
// wait would wait for ever.
func (l *lobby) stand(rank int, s standing) {
	l.ranks[rank-l.first] = s
	l.idle++
	if l.idle < len(l.ranks) {
		return
	}
	var where []string
	waiting := false
	for i, s := range l.ranks {
		if s.returned {
			where = append(where, fmt.Sprintf("rank %d has returned", i+l.first))
			continue
		}
		waiting = true
		where = append(where, fmt.Sprintf("rank %d waits in %s for ranks %v", i+l.first, s.in, s.waits.members))
	}
	if waiting {
		l.failLocked(fmt.Errorf("the ranks' calls do not match: %s", strings.Join(where, ", ")))
	}
}

// reset makes the lobby usable again after every rank has returned.
func (l *lobby) reset() {
	l.mu.Lock()
	if l.err != nil {
		l.err, l.stop = nil, make(chan struct{})
	}
	l.idle = 0
	clear(l.ranks)
	for _, m := range l.meetings {
		m.arrived = 0
		clear(m.calls)
		clear(m.turns)
		for _, b := range m.boards {
			clear(b)
		}
	}
	l.mu.Unlock()
}

// meeting is where the ranks of one in-process group wait for each other, and
// what each brings to the current collective.
type meeting struct {
	lobby   *lobby
	members []int
	cond    *sync.Cond // on the lobby's mutex
	arrived int
	round   uint64
	calls   []call
	// boards are where exchanges put the calls, in turn: who puts something on
	// a board for the second time knows that all have been at the other one
	// since, and have read this one.
	boards [2][]call
	turns  []int // of each member
}

// exchange returns what all members bring to the same exchange; it may be read
// until this member's next.
func (m *meeting) exchange(me int, mine call, name string) ([]call, error) {
	board := m.boards[m.turns[me]%2]
	m.turns[me]++
	board[me] = mine
	if err := m.wait(me, name); err != nil {
		return nil, err
	}
	return board, nil
}

// wait returns when all members have come, or with the error of a failure.
// me is the caller's place among the members.
func (m *meeting) wait(me int, name string) error {
	l := m.lobby
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	m.arrived++
	if m.arrived == len(m.members) {
		m.arrived = 0
		m.round++
		for i, r := range m.members {
			if i != me {
				l.ranks[r-l.first] = standing{}
				l.idle--
			}
		}
		m.cond.Broadcast()
		return nil
	}
	round := m.round
	l.stand(m.members[me], standing{waits: m, in: name, since: time.Now()})
	for m.round == round {
		if l.err != nil {
			l.ranks[m.members[me]-l.first] = standing{}
			l.idle--
			return l.err
		}
		m.cond.Wait()
	}
	return nil
}
