package train

import (
	"encoding/json"
	"fmt"
	"time"

	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/nn"
	"dpolab/runtime/session"
	"dpolab/runtime/tensor"
)

// attach makes t the session's trainer: its optimizer's state lives in the
// session's files, and if the run has begun it goes on there.
func (s *Session) attach(t *Trainer) (err error) {
	if s.trainer != nil {
		return fmt.Errorf("session %s: another trainer is attached; close it first", s.Dir())
	}
	name := t.own().optimizer.Name()
	if was := s.state.Trainer; was != nil && was.Optimizer != name {
		return fmt.Errorf("session %s: its run has optimizer=%s, the trainer %s; Restart begins a new run with its weights", s.Dir(), was.Optimizer, name)
	}
	if !s.store.Has(momentsFile) {
		var entries []session.Entry
		for _, np := range nn.NamedParameters(t.own().policy) {
			for _, kind := range t.own().optimizer.Kinds() {
				entries = append(entries, session.Entry{Name: np.Name + "/" + kind, DType: dtype.Float32, Shape: np.Parameter.Shape()})
			}
		}
		if err := s.store.Create(momentsFile, entries); err != nil {
			return err
		}
	}
	s.mirrors[momentsFile] = make([][]mirror, t.world.Size())
	if err := t.world.Run(func(r *distributed.Rank) error { return s.houseOptimizer(r, t.replicas[r.Rank]) }); err != nil {
		return err
	}
	s.trainer = t
	defer func() {
		if err != nil {
			s.detach()
		}
	}()
	if s.state.Trainer == nil {
		return s.commit()
	}
	if err := t.restore(*s.state.Trainer); err != nil {
		return fmt.Errorf("session %s: %w; Restart begins a new run with its weights", s.Dir(), err)
	}
	h, err := s.History()
	if err != nil {
		return err
	}
	t.history = *h
	if n := len(h.Records); n > 0 { // the clock goes on, without the time in between
		t.started = time.Now().Add(-time.Duration(h.Records[n-1].Seconds * float64(time.Second)))
	}
	return nil
}

// houseOptimizer gives a rank's optimizer its state, zeros in a new run.
func (s *Session) houseOptimizer(r *distributed.Rank, rep *replica) error {
	for _, np := range nn.NamedParameters(rep.policy) {
		for _, kind := range rep.optimizer.Kinds() {
			home, err := s.home(r, rep.sharded, np.Parameter, momentsFile, np.Name+"/"+kind)
			if err != nil {
				return err
			}
			dev := np.Parameter.Master().Device()
			state := home.tensor(dev)
			if state == nil {
				state = tensor.Empty(dev, dtype.Float32, home.shape...).Keep()
				dev.Backend().Upload(state.Array().Data, home.bytes)
				s.mirror(momentsFile, r, home, state)
			}
			rep.optimizer.Adopt(np.Name, kind, state)
		}
	}
	return nil
}

// begin precedes every update.
func (s *Session) begin() error {
	if s.broken != nil {
		return fmt.Errorf("session %s: it stays before a step that failed (%w); attach it again to go on from there", s.Dir(), s.broken)
	}
	return s.store.Begin()
}

// fail notes why the step that began will not be committed.
func (s *Session) fail(err error) {
	if s.broken == nil && s.store.Unfinished() {
		s.broken = err
	}
}

// collect copies what does not live in the files to them; every rank calls it
// after the update.
func (s *Session) collect(r *distributed.Rank) {
	for _, byRank := range s.mirrors {
		for _, m := range byRank[r.Rank] {
			m.tensor.Device().Backend().Download(m.bytes, m.tensor.Array().Data)
		}
	}
}

// append adds a record to the history that the session keeps.
func (s *Session) append(r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.store.Append(line)
}

// take brings the state up to date.
func (s *Session) take() {
	if s.trainer != nil {
		now := s.trainer.state()
		s.state.Trainer, s.state.Precision = &now, precisionOf(s.trainer.settings.Sharding.MixedPrecision)
	}
}

// commit ends a step, note anything that leaves the weights alone.
func (s *Session) commit() error {
	s.take()
	return s.store.Commit(s.state)
}

func (s *Session) note() error {
	s.take()
	return s.store.Note(s.state)
}

// detach lets the trainer go; another may attach.
func (s *Session) detach() {
	s.trainer = nil
	delete(s.mirrors, momentsFile)
}
