package distributed

import (
	"encoding/json"
	"fmt"

	"dpolab/kernels/nccl"
)

// connect returns the owner's end of the group's communicator, which is made
// when the group is first used, and again after a failure has ended it.
func (g *ncclGroup) connect(name string) *nccl.Comm {
	key := fmt.Sprint(g.members)
	if c := g.owner.comm(key); c != nil {
		return c
	}
	lib, err := nccl.Open()
	if err != nil {
		g.leave(name, err)
	}
	identify := g.identifyHere
	if g.owner.world.job != nil {
		identify = g.identifyInJob
	}
	id, err := identify(lib, key)
	if err != nil {
		g.leave(name, err)
	}
	g.dev.Backend().Synchronize() // NCCL takes the device that this thread has used last
	c, err := lib.Join(id, len(g.members), g.place, g.meeting.lobby.stopped())
	if err != nil {
		g.leave(name, err)
	}
	g.owner.keep(key, c)
	return c
}

// identifyHere hands the first member's identifier to the others, which all
// live in this process.
func (g *ncclGroup) identifyHere(lib *nccl.Library, key string) (nccl.ID, error) {
	mine := call{name: "connect"}
	if g.place == 0 {
		id, err := lib.UniqueID()
		if err != nil {
			return nccl.ID{}, err
		}
		mine.bytes = id[:]
	}
	calls, err := g.meeting.exchange(g.localGroup.rank, mine, "connect "+key)
	if err != nil {
		return nccl.ID{}, err
	}
	return nccl.ID(calls[0].bytes), nil
}

// identifyInJob does it across processes. All ranks of the job take part, each
// for the group that it is about to join: the first rank of each process
// speaks for it.
func (g *ncclGroup) identifyInJob(lib *nccl.Library, key string) (id nccl.ID, err error) {
	w := g.owner.world
	all, me := w.lobby.meeting(w.local()), g.owner.Rank-w.first
	mine := call{name: "connect", bytes: []byte(key)}
	calls, err := all.exchange(me, mine, "connect "+key)
	if err != nil {
		return id, err
	}
	if me == 0 {
		err = w.identify(lib, calls)
	}
	if err != nil { // the others are released with it
		w.fail(err)
	}
	if _, err := all.exchange(me, mine, "connect "+key); err != nil {
		return id, err
	}
	raw, ok := w.ids[key]
	if !ok || len(raw) != len(id) {
		return id, fmt.Errorf("no rank of this job begins the group %s: every rank must ask for its subgroups at the same time", key)
	}
	return nccl.ID(raw), nil
}

// identify makes identifiers for the groups whose first member asks for one in
// this process, and learns those of the others.
func (w *World) identify(lib *nccl.Library, calls []call) error {
	made := map[string][]byte{}
	for i, c := range calls {
		key := string(c.bytes)
		var first int
		if _, err := fmt.Sscanf(key, "[%d", &first); err != nil || first != w.first+i {
			continue
		}
		id, err := lib.UniqueID()
		if err != nil {
			return err
		}
		made[key] = id[:]
	}
	text, err := json.Marshal(made)
	if err != nil {
		return err
	}
	parts, err := w.job.AllGather("communicators", text)
	if err != nil {
		return err
	}
	w.ids = map[string][]byte{}
	for _, part := range parts {
		if err := json.Unmarshal(part, &w.ids); err != nil {
			return err
		}
	}
	return nil
}

// comm and keep are the communicators a rank has joined; the watchdog looks at
// them too.
func (r *Rank) comm(key string) *nccl.Comm {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.comms[key]
}

func (r *Rank) keep(key string, c *nccl.Comm) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.comms[key] = c
}
