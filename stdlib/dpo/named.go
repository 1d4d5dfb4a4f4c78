package dpo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dpolab/runtime/fsdp"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	sessions "dpolab/runtime/session"
	"dpolab/runtime/train"
)

// NamedSession is a run that outlives the process: model, optimizer state,
// precision, reference log-probabilities, data position and history, in files
// that the next process maps into memory instead of reading them.
//
//	s := dpo.Session("exp")
//	policy := s.FSDP(dpo.LoadModel("tiny"), dpo.DefaultFSDPConfig())
//	tr := dpo.NewTrainer(policy, nil, train, test, cfg)
//	tr.Steps(10)
//
// The same lines in another process go on with step 11, bit for bit as if there
// had been one process. What is a function (losses, metrics, schedules) and the
// other settings of the trainer come from the program, each time.
//
// # What lasts
//
// After every step the files hold that step. Ended in the middle of one, even by
// kill -9, the session is at the step before; so it is after a step whose loss
// is not a number. Shutting the machine down loses nothing; when it crashes, the
// session is found whole or found broken, never silently mixed:
// Trainer.SaveCheckpoint is for what must survive that. One process at a time
// holds a session, until Close or its end.
//
// # What it costs
//
// Files of twice the size of weights and optimizer state, and in each step a
// copy of them in memory and a pass over it, about a tenth of a second per
// gigabyte, more in a process's first step. Attaching takes milliseconds whatever the size; weights are read
// from the page cache as they are used. A rank whose device has memory of its
// own (a GPU) copies its part up when it attaches and down after each step, at
// the speed of the bus; so do, on the CPU, ranks that hold copies of what
// another rank holds (NoShard, HybridShard). On a slow disk name a path on
// /dev/shm, whose files last until the machine stops.
type NamedSession struct {
	name    string
	runtime *train.Session
	policy  *Model
	trainer *Trainer
	caches  map[string]*train.ReferenceCache
	closed  bool
}

// Session attaches the session of a name, or makes an empty one. Names are kept
// in $XDG_STATE_HOME/dpolab/sessions (~/.local/state/dpolab/sessions); what has
// a slash in it is a path. In the process that holds the session already it is
// the same one.
func Session(name string) *NamedSession {
	const op = "Session"
	dir := sessionDir(op, name)
	session.mu.Lock()
	for _, c := range session.open {
		if s, ok := c.(*NamedSession); ok && s.runtime.Dir() == dir {
			session.mu.Unlock()
			return s
		}
	}
	session.mu.Unlock()
	r, err := train.OpenSession(dir)
	check(op, err)
	s := &NamedSession{name: name, runtime: r, caches: map[string]*train.ReferenceCache{}}
	remember(s)
	return s
}

// sessionDir is the directory that a name stands for.
func sessionDir(op, name string) string {
	if strings.ContainsRune(name, os.PathSeparator) {
		dir, err := filepath.Abs(name)
		check(op, err)
		return dir
	}
	if name == "" || strings.HasPrefix(name, ".") {
		refuse(op, "a name, or a path with a slash", "%q", name)
	}
	root, err := sessions.DefaultRoot()
	check(op, err)
	return filepath.Join(root, name)
}

// use raises if the session is closed.
func (s *NamedSession) use(op string) *train.Session {
	if s == nil {
		refuse(op, "a session", "nil")
	}
	if s.closed {
		refuse(op, "an open session", "%s, which is closed", s.name)
	}
	return s.runtime
}

// FSDP spreads the session's policy over the ranks of cfg and returns it. In an
// empty session that is m, whose weights move in; later only m's configuration
// is looked at, and m may be nil. The precision of cfg counts in an empty
// session; afterwards it is the one that was set last.
//
// A trainer made for this policy goes on where the session stands.
func (s *NamedSession) FSDP(m *Model, cfg FSDPConfig) *Model {
	const op = "NamedSession.FSDP"
	r := s.use(op)
	check(op, cfg.MixedPrecision.Validate())
	if r.Empty() {
		if m == nil {
			refuse(op, "a model for an empty session", "nil")
		}
		if m.master != Float32 {
			refuse(op, "a model with float32 master weights", "%s", m.master)
		}
		FSDP(m, cfg)
		check(op, r.Fill(m.placed, m.path, m.Tokenizer().tok))
		m.session, m.trained, s.policy = s, true, m
		return m
	}
	if m == nil {
		m = s.model(op)
		remember(m)
	}
	if m.closed {
		refuse(op, "an open model", "%s", m)
	}
	if own := s.model(op); m != s.policy && !alike(m.config, own.config) {
		refuse(op, "a model configured as the session's, "+own.String(), "%s", m)
	}
	s.closeTrainer()
	if old := s.policy; old != nil && old != m {
		old.Close()
	}
	check(op, m.release())
	m.session, m.trained, m.wrap, s.policy = s, true, cfg, m
	m.place(op)
	m.wrap.MixedPrecision = m.placed.MixedPrecision()
	return m
}

// model is the session's own model, not on a device yet.
func (s *NamedSession) model(op string) *Model {
	raw, err := models.ReadConfig(s.runtime.ModelDir())
	check(op, err)
	built, err := models.New(raw)
	check(op, err)
	return &Model{path: s.runtime.ModelDir(), master: Float32, config: built.Config(), params: nn.NumParameters(built), built: built}
}

// alike compares two configurations but for what no model here looks at.
func alike(a, b models.Config) bool {
	a.Raw, b.Raw = models.RawConfig{}, models.RawConfig{}
	return fmt.Sprint(a) == fmt.Sprint(b)
}

// placeInto is what a model of the session calls to get onto its devices.
func (s *NamedSession) placeInto(w *world, cfg fsdp.Config) (*train.Replicas, error) {
	if s.closed {
		return nil, fmt.Errorf("session %s is closed", s.name)
	}
	return s.runtime.Place(w.World, cfg)
}

func (s *NamedSession) closeTrainer() {
	if s.trainer != nil {
		s.trainer.Close()
		s.trainer = nil
	}
}

// join prepares t, whose policy is the session's, for taking the place of the
// trainer before.
func (s *NamedSession) join(op string, t *Trainer) {
	s.use(op)
	s.closeTrainer()
	if t.cfg.Loss == nil {
		return
	}
	if t.reference == nil {
		t.reference, t.owned = s.reference(op), true
		return
	}
	if r := t.reference; r.known == nil && !r.trained {
		if id := fingerprint(r.path); id != "" {
			r.known = s.cache(op, id, r)
		}
	}
}

// reference is the policy as it was when the session's run began, which is kept
// beside it.
func (s *NamedSession) reference(op string) *Model {
	id := fmt.Sprintf("reference-%d", s.runtime.Run())
	dir := filepath.Join(s.runtime.Dir(), id)
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		if n := s.runtime.Updates(); n > 0 {
			refuse(op, "the reference that the session's run was begun with", "nil after %d updates", n)
		}
		check(op, s.policy.use(op).Save(dir, Float32, s.policy.Tokenizer().tok))
	}
	m := LoadModel(dir)
	m.tok = s.policy.Tokenizer()
	m.known = s.cache(op, id, m)
	return m
}

// cache opens the session's log-probabilities of a reference.
func (s *NamedSession) cache(op, id string, m *Model) *train.ReferenceCache {
	key := id + "/" + m.master.String()
	if c := s.caches[key]; c != nil {
		return c
	}
	c, err := train.OpenReferenceCache(filepath.Join(s.runtime.Dir(), "log-probs"), train.ReferenceName{Weights: id, DType: m.master.String()})
	check(op, err)
	s.caches[key] = c
	return c
}

// fingerprint tells weights apart by where they are and when they were written,
// without reading them; empty if they are not there.
func fingerprint(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "model*.safetensors"))
	id, err := filepath.Abs(dir)
	if err != nil || len(files) == 0 {
		return ""
	}
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			return ""
		}
		id += fmt.Sprintf(" %s %d %d", filepath.Base(f), st.Size(), st.ModTime().UnixNano())
	}
	return id
}

// Updates and Examples are how far the run has come.
func (s *NamedSession) Updates() int { return s.use("NamedSession.Updates").Updates() }

// Examples is the number of pairs that the run has seen.
func (s *NamedSession) Examples() int { return s.use("NamedSession.Examples").Examples() }

// Dir is where the session is kept.
func (s *NamedSession) Dir() string { return s.runtime.Dir() }

// History is every record of the run, also of processes before this one; no
// trainer is needed.
func (s *NamedSession) History() *History {
	h, err := s.use("NamedSession.History").History()
	check("NamedSession.History", err)
	return &History{h.Records}
}

// Curves draws loss, reward accuracy and reward margin of the run.
func (s *NamedSession) Curves() *Figure { return Curves(s.History()) }

// Restart begins a new run with the weights as they are: SFT done, DPO comes
// next. Optimizer state, data position and history are forgotten; the reference
// of the new run, unless one is given, is the policy as it is now. The session's
// trainer is closed.
func (s *NamedSession) Restart() {
	r := s.use("NamedSession.Restart")
	s.closeTrainer()
	check("NamedSession.Restart", r.Restart())
	old, err := filepath.Glob(filepath.Join(r.Dir(), "reference-*"))
	check("NamedSession.Restart", err)
	for _, dir := range old {
		check("NamedSession.Restart", os.RemoveAll(dir))
	}
}

// Close lets go of the session, for another process to attach, and closes its
// policy and trainer.
func (s *NamedSession) Close() {
	if s.closed {
		return
	}
	s.closeTrainer()
	if s.policy != nil {
		s.policy.Close()
	}
	s.closed = true
	forget(s)
	errs := []error{s.runtime.Close()}
	for _, c := range s.caches {
		errs = append(errs, c.Close())
	}
	check("NamedSession.Close", errors.Join(errs...))
}

func (s *NamedSession) String() string {
	if s.closed {
		return fmt.Sprintf("session %s: closed", s.name)
	}
	if s.runtime.Empty() {
		return fmt.Sprintf("session %s: empty", s.name)
	}
	return fmt.Sprintf("session %s: %s of %s parameters, %d pairs, %d updates, %s", s.name, s.runtime.Architecture(), count(s.runtime.Parameters()),
		s.runtime.Examples(), s.runtime.Updates(), s.runtime.MixedPrecision())
}

// SessionInfo describes a session that need not be attached.
type SessionInfo struct {
	Name, Dir  string
	Model      string // class, empty in an empty session
	Parameters int
	Examples   int
	Updates    int
	Bytes      int64 // on disk
	Used       time.Time
	Attached   bool // by this or another process
}

// SessionList are sessions by name.
type SessionList []SessionInfo

// Sessions lists the sessions that are kept under names.
func Sessions() SessionList {
	root, err := sessions.DefaultRoot()
	check("Sessions", err)
	list, err := sessions.List(root)
	check("Sessions", err)
	var out SessionList
	for _, i := range list {
		info := SessionInfo{Name: i.Name, Dir: i.Dir, Bytes: i.Bytes, Used: i.Used, Attached: i.Attached}
		if i.State != nil {
			s, err := train.DescribeSession(i.State)
			check("Sessions", err)
			info.Model, info.Parameters, info.Examples, info.Updates = s.Architecture, s.Parameters, s.Examples, s.Updates
		}
		out = append(out, info)
	}
	return out
}

// String is a line per session.
func (l SessionList) String() string {
	if len(l) == 0 {
		return "no sessions"
	}
	var lines []string
	for _, i := range l {
		text := "empty"
		if i.Model != "" {
			text = fmt.Sprintf("%s of %s parameters, %d pairs, %d updates", i.Model, count(i.Parameters), i.Examples, i.Updates)
		}
		if i.Attached {
			text += ", attached"
		}
		lines = append(lines, fmt.Sprintf("%-16s %8.1f MB  %s  %s", i.Name, float64(i.Bytes)/1e6, i.Used.Format("2006-01-02 15:04"), text))
	}
	return strings.Join(lines, "\n")
}

// RemoveSession deletes the session of a name or path. One that a process holds
// is not removed, this process excepted: its own is closed first.
func RemoveSession(name string) {
	const op = "RemoveSession"
	dir := sessionDir(op, name)
	session.mu.Lock()
	open := append([]closer(nil), session.open...)
	session.mu.Unlock()
	for _, c := range open {
		if s, ok := c.(*NamedSession); ok && s.runtime.Dir() == dir {
			s.Close()
		}
	}
	check(op, sessions.Remove(dir))
}
