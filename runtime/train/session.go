package train

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/session"
	"dpolab/runtime/tensor"
	"dpolab/runtime/tokenizer"
)

// Session is a run whose master weights and optimizer state live in mapped
// files, with counters, precision, data position and history beside them: a
// process attaches it and goes on where the last one stopped, bit for bit,
// without reading the weights. Package session says what survives what.
//
// A parameter is stored as a whole, so the number of ranks and the sharding may
// change from process to process. Ranks that hold a copy of what another rank
// holds (NO_SHARD, HYBRID_SHARD), and ranks on a device with memory of its own,
// keep their part there: it is copied from the files when they attach and back
// after each step.
type Session struct {
	store   *session.Store
	state   sessionState
	trainer *Trainer
	mirrors map[string][][]mirror // by file and rank
	broken  error                 // why a step was not committed
}

// sessionState is what the store keeps beside the arrays.
type sessionState struct {
	Run          int       `json:"run"` // counts restarts
	Architecture string    `json:"architecture"`
	Parameters   int       `json:"parameters"`
	Precision    precision `json:"precision"`
	Trainer      *state    `json:"trainer,omitempty"` // nil before the run's first trainer
}

// precision is a fsdp.MixedPrecision by names.
type precision struct {
	Param  string `json:"param"`
	Reduce string `json:"reduce"`
	Buffer string `json:"buffer"`
}

func precisionOf(mp fsdp.MixedPrecision) precision {
	return precision{mp.ParamDType.String(), mp.ReduceDType.String(), mp.BufferDType.String()}
}

func (p precision) mixed() fsdp.MixedPrecision {
	parse := func(name string) dtype.DType {
		dt, _ := dtype.Parse(name) // "invalid", which means unset, is none
		return dt
	}
	return fsdp.MixedPrecision{ParamDType: parse(p.Param), ReduceDType: parse(p.Reduce), BufferDType: parse(p.Buffer)}
}

// mirror is a tensor that is copied to the files after each step.
type mirror struct {
	tensor *tensor.Tensor
	bytes  []byte
}

const (
	weightsFile = "weights"
	momentsFile = "optimizer"
	modelFolder = "model"
)

// OpenSession attaches the session in dir, or makes an empty one.
func OpenSession(dir string) (*Session, error) {
	store, err := session.Open(dir)
	if err != nil {
		return nil, err
	}
	s := &Session{store: store, mirrors: map[string][][]mirror{}}
	if text := store.State(); text != nil {
		if err := json.Unmarshal(text, &s.state); err != nil {
			store.Close()
			return nil, fmt.Errorf("session %s: state: %w", dir, err)
		}
	}
	return s, nil
}

// SessionSummary is what a session's state says to those who do not attach it.
type SessionSummary struct {
	Architecture      string
	Parameters        int
	Examples, Updates int
}

// DescribeSession reads the state of a session as session.List gives it.
func DescribeSession(state json.RawMessage) (SessionSummary, error) {
	var s Session
	if err := json.Unmarshal(state, &s.state); err != nil {
		return SessionSummary{}, fmt.Errorf("session: state: %w", err)
	}
	return SessionSummary{s.state.Architecture, s.state.Parameters, s.Examples(), s.Updates()}, nil
}

// Empty reports whether no model has been put in yet.
func (s *Session) Empty() bool { return s.state.Architecture == "" }

// Updates and Examples are the counters of the run.
func (s *Session) Updates() int {
	if s.state.Trainer == nil {
		return 0
	}
	return s.state.Trainer.Updates
}

// Examples is the number of training pairs seen in the run.
func (s *Session) Examples() int {
	if s.state.Trainer == nil {
		return 0
	}
	return s.state.Trainer.Examples
}

// Run is the number of restarts, which names what belongs to one run.
func (s *Session) Run() int { return s.state.Run }

// Architecture and Parameters describe the model.
func (s *Session) Architecture() string { return s.state.Architecture }
func (s *Session) Parameters() int      { return s.state.Parameters }

// Dir is the session's directory; files of other names may be kept in it.
func (s *Session) Dir() string { return s.store.Dir() }

// ModelDir holds the model's config.json and the tokenizer, without weights.
func (s *Session) ModelDir() string { return filepath.Join(s.store.Dir(), modelFolder) }

// MixedPrecision is the precision that the session's policy computes in.
func (s *Session) MixedPrecision() fsdp.MixedPrecision { return s.state.Precision.mixed() }

// SetMixedPrecision notes the precision; the policy is told by other means.
func (s *Session) SetMixedPrecision(mp fsdp.MixedPrecision) error {
	s.state.Precision = precisionOf(mp)
	return s.note()
}

// History reads the records of the run.
func (s *Session) History() (*History, error) {
	text, err := s.store.Log()
	if err != nil {
		return nil, err
	}
	h := &History{}
	for lo := 0; lo < len(text); {
		hi := lo
		for hi < len(text) && text[hi] != '\n' {
			hi++
		}
		var r Record
		if err := json.Unmarshal(text[lo:hi], &r); err != nil {
			return nil, fmt.Errorf("session %s: history: %w", s.Dir(), err)
		}
		h.Records = append(h.Records, r)
		lo = hi + 1
	}
	return h, nil
}

// Fill puts a policy into an empty session: its weights move into the session's
// files and stay usable through p. configDir is the directory p was read from,
// tok its tokenizer, which may be nil.
func (s *Session) Fill(p *Replicas, configDir string, tok *tokenizer.Tokenizer) error {
	if p.world.IsJob() {
		return fmt.Errorf("session %s: a session lives in one process, this job has several", s.Dir())
	}
	if !s.Empty() {
		return fmt.Errorf("session %s: it holds a %s already", s.Dir(), s.state.Architecture)
	}
	var entries []session.Entry
	for _, np := range nn.NamedParameters(p.models[p.world.First()]) {
		if dt := np.Parameter.Master().DType(); dt != dtype.Float32 {
			return fmt.Errorf("session %s: master weights must be float32, %s is %s", s.Dir(), np.Name, dt)
		}
		entries = append(entries, session.Entry{Name: np.Name, DType: dtype.Float32, Shape: np.Parameter.Shape()})
	}
	err := models.Atomically(s.ModelDir(), func(tmp string) error {
		for _, name := range []string{"config.json", "generation_config.json"} {
			text, err := os.ReadFile(filepath.Join(configDir, name))
			if os.IsNotExist(err) && name != "config.json" {
				continue
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(tmp, name), text, 0o644); err != nil {
				return err
			}
		}
		if tok == nil {
			return nil
		}
		return tok.Save(tmp)
	})
	if err != nil {
		return fmt.Errorf("session %s: %w", s.Dir(), err)
	}
	if err := s.store.Create(weightsFile, entries); err != nil {
		return err
	}
	if err := s.house(p, true); err != nil {
		return err
	}
	m := p.models[p.world.First()]
	s.state = sessionState{Architecture: m.Config().Architecture, Parameters: nn.NumParameters(m), Precision: precisionOf(p.MixedPrecision())}
	return s.commit()
}

// Place puts the session's policy on all ranks of w, in the precision it was
// last in. Weights on ranks of the CPU are those of the files, not copies.
func (s *Session) Place(w *distributed.World, cfg fsdp.Config) (*Replicas, error) {
	if s.Empty() {
		return nil, fmt.Errorf("session %s: no model has been put in yet", s.Dir())
	}
	if w.IsJob() {
		return nil, fmt.Errorf("session %s: a session lives in one process, this job has several", s.Dir())
	}
	raw, err := models.ReadConfig(s.ModelDir())
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", s.Dir(), err)
	}
	cfg.MixedPrecision, cfg.MasterDType = s.MixedPrecision(), dtype.Float32
	p := newReplicas(w)
	err = w.Run(func(r *distributed.Rank) error {
		m, err := models.New(raw)
		if err != nil {
			return err
		}
		return p.shard(r, m, cfg)
	})
	if err == nil {
		err = s.house(p, false)
	}
	if err != nil {
		return nil, errorsWithRelease(fmt.Errorf("session %s: %w", s.Dir(), err), p)
	}
	return p, nil
}

// house gives every rank's shards their place in the files. With fill the
// shards' values go there first, else the files' values count.
func (s *Session) house(p *Replicas, fill bool) error {
	s.mirrors[weightsFile] = make([][]mirror, p.world.Size())
	p.session = s
	return p.world.Run(func(r *distributed.Rank) error {
		sharded := p.sharded[r.Rank]
		sharded.Recover() // what was gathered from the old place
		for _, np := range nn.NamedParameters(p.models[r.Rank]) {
			q := np.Parameter
			dev := q.Shard.Device()
			home, err := s.home(r, sharded, q, weightsFile, np.Name)
			if err != nil {
				return err
			}
			if fill && home.first {
				dev.Backend().Download(home.bytes, q.Shard.Array().Data)
			}
			if t := home.tensor(dev); t != nil {
				q.ZeroGrad()
				q.Shard.Release()
				q.Shard = t.SetRequiresGrad(q.Trainable())
				continue
			}
			if !fill {
				dev.Backend().Upload(q.Shard.Array().Data, home.bytes)
				q.Shard.Touch()
			}
			s.mirror(weightsFile, r, home, q.Shard)
		}
		r.Dev.Backend().EmptyCache() // the place they had before
		return nil
	})
}

// home is where a rank's rows of an array are in the files.
type home struct {
	memory *tensor.Memory
	offset int
	shape  []int
	bytes  []byte
	first  bool // no other rank stores the same rows
}

func (s *Session) home(r *distributed.Rank, sharded *fsdp.Model, q *nn.Parameter, file, name string) (home, error) {
	e, ok := s.store.Entry(file, name)
	if !ok || e.Bytes() != q.Len()*dtype.Float32.Size() {
		return home{}, fmt.Errorf("session %s: its model has no %s of shape %v", s.Dir(), name, q.Shape())
	}
	size := q.RowLen() * e.DType.Size()
	lo, hi := q.RowStart*size, q.RowEnd*size
	return home{s.store.Memory(file), e.Offset + lo, q.Shard.Shape(), s.store.Bytes(file, e)[lo:hi], sharded.Mesh.Replicate.Rank() == 0}, nil
}

// tensor is the tensor that lives in the files, nil if it cannot.
func (h home) tensor(dev *tensor.Device) *tensor.Tensor {
	if !h.first || !dev.UsesHostMemory() {
		return nil
	}
	return h.memory.Tensor(dev, dtype.Float32, h.offset, h.shape...).Keep()
}

// mirror makes t be copied to its home after each step, unless another rank's
// copy is.
func (s *Session) mirror(file string, r *distributed.Rank, h home, t *tensor.Tensor) {
	if h.first {
		s.mirrors[file][r.Rank] = append(s.mirrors[file][r.Rank], mirror{t, h.bytes})
	}
}

// Restart begins a new run with the weights as they are: optimizer state,
// counters, data position and history are forgotten. No trainer may be attached.
func (s *Session) Restart() error {
	if s.trainer != nil {
		return fmt.Errorf("session %s: a trainer is attached; close it first", s.Dir())
	}
	if s.Empty() {
		return nil
	}
	next := s.state
	next.Run++
	next.Trainer = nil
	if err := s.store.Drop(momentsFile, next, true); err != nil {
		return err
	}
	s.state = next
	return nil
}

// Close lets go of the session. Its policy and trainer must be closed before.
func (s *Session) Close() error { return s.store.Close() }
