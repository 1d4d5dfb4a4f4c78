package dpo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"dpolab/runtime/data"
	"dpolab/runtime/models"
	_ "dpolab/runtime/models/all" // every architecture
	"dpolab/runtime/nn"
	"dpolab/runtime/train"

	_ "dpolab/kernels/cpu"  // the backend that every machine has
	_ "dpolab/kernels/cuda" // found when it is asked for
)

// Model is a causal language model. Loading one reads its configuration only:
// its weights go to the devices when FSDP wraps it or something is first
// computed with it, so that no device ever holds more than its share.
type Model struct {
	path   string // where its weights are, if it is not trained
	config models.Config
	params int
	built  models.CausalLM // without memory, for its shape
	tok    *Tokenizer

	wrap   FSDPConfig
	master DType
	world  *world
	placed *train.Replicas // nil until first used

	trained bool                  // weights are no longer those of path
	known   *train.ReferenceCache // log-probabilities asked of it as a reference
	asked   int
	// trainers hold optimizer state beside the weights and go with them.
	trainers []*Trainer
	temp     string        // directory that goes with the model
	session  *NamedSession // where its weights live, if not in memory
	closed   bool
}

// LoadOption says how a model is loaded.
type LoadOption func(m *Model)

// WithDType loads the master weights in a type other than float32: for a
// reference model that is only asked, half the memory.
func WithDType(dt DType) LoadOption { return func(m *Model) { m.master = dt } }

// WithDevices computes on the given devices, such as "cpu" or "cuda:0", until
// FSDP says otherwise.
func WithDevices(devices string) LoadOption { return func(m *Model) { m.wrap.Devices = devices } }

// LoadModel opens a Hugging Face directory: config.json and safetensors.
func LoadModel(path string, opts ...LoadOption) *Model {
	m := &Model{path: path, master: Float32, wrap: FSDPConfig{Devices: "cpu", Strategy: NoShard}}
	stoppable("LoadModel", func() error {
		ckpt, err := models.Open(path)
		if err != nil {
			return err
		}
		defer ckpt.Close()
		m.built, err = ckpt.Build()
		return err
	}, nil)
	m.config, m.params = m.built.Config(), nn.NumParameters(m.built)
	for _, o := range opts {
		o(m)
	}
	if !m.master.IsFloat() {
		refuse("LoadModel", "a floating type", "%s", m.master)
	}
	remember(m)
	return m
}

// String is one line: class, size, type, and where it is.
func (m *Model) String() string {
	where := "not on a device yet"
	switch {
	case m.closed:
		where = "closed"
	case m.placed != nil:
		where = fmt.Sprintf("%s over %s, %s", m.wrap.Strategy, m.wrap.Devices, m.placed.MixedPrecision())
	}
	return fmt.Sprintf("%s: %s parameters, %s, %s", m.config.Architecture, count(m.params), m.master, where)
}

// count writes a number of things in thousands, millions or billions.
func count(n int) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "billion"}, {1e6, "million"}, {1e3, "thousand"}} {
		if float64(n) >= unit.size {
			return fmt.Sprintf("%.3g %s", float64(n)/unit.size, unit.name)
		}
	}
	return fmt.Sprint(n)
}

// NumParameters is the number of weights, tied ones once.
func (m *Model) NumParameters() int { return m.params }

// Path is the directory the model was loaded from.
func (m *Model) Path() string { return m.path }

// Tokenizer is the model's own, read from its directory when first asked for,
// or what SetTokenizer gave it.
func (m *Model) Tokenizer() *Tokenizer {
	if m.tok == nil {
		m.tok = LoadTokenizer(m.path)
	}
	return m.tok
}

// SetTokenizer makes the model use tok.
func (m *Model) SetTokenizer(tok *Tokenizer) { m.tok = tok }

// use returns the model's replicas, which it places if need be.
func (m *Model) use(op string) *train.Replicas {
	if m == nil {
		refuse(op, "a model", "nil")
	}
	if m.closed {
		refuse(op, "an open model", "%s", m)
	}
	if m.placed == nil {
		m.place(op)
	}
	return m.placed
}

// place reads the weights onto the devices of m.wrap.
func (m *Model) place(op string) {
	var w *world
	var p *train.Replicas
	cfg := m.wrap.runtime(m)
	cfg.MasterDType = m.master
	devices, threads, path := m.wrap.Devices, m.wrap.Threads, m.path
	stoppable(op, func() (err error) {
		if w, err = acquire(devices, threads); err != nil {
			return err
		}
		if m.session != nil {
			p, err = m.session.placeInto(w, cfg)
		} else {
			p, err = train.Place(w.World, path, cfg)
		}
		if err != nil {
			w.leave()
		}
		return err
	}, func() { p.Release(); w.leave() })
	m.world, m.placed = w, p
}

// release gives the devices' memory back; the model can be placed again.
func (m *Model) release() error {
	if m.placed == nil {
		return nil
	}
	for _, t := range m.trainers {
		t.detach()
	}
	m.trainers = nil
	err := m.placed.Release()
	if leave := m.world.leave(); err == nil {
		err = leave
	}
	m.placed, m.world = nil, nil
	return err
}

// Close frees the model's memory on all devices. Closing twice does nothing.
func (m *Model) Close() {
	if m.closed {
		return
	}
	err := m.release()
	m.closed = true
	forget(m)
	if m.temp != "" {
		os.RemoveAll(filepath.Dir(m.temp))
	}
	check("Model.Close", err)
}

// Copy is a model with the same weights, not on a device yet: what a policy is
// now becomes the reference of the next training.
func (m *Model) Copy() *Model {
	path, temp := m.path, ""
	if m.trained {
		temp = m.saveTemp("Model.Copy")
		path = temp
	}
	c := LoadModel(path, WithDType(m.master), WithDevices(m.wrap.Devices))
	c.tok, c.temp = m.tok, temp
	return c
}

// saveTemp writes the weights to a directory of its own.
func (m *Model) saveTemp(op string) string {
	p := m.use(op)
	dir, err := os.MkdirTemp("", "dpolab-model-")
	check(op, err)
	if err := p.Save(dir+"/weights", m.master, m.Tokenizer().tok); err != nil {
		os.RemoveAll(dir)
		check(op, err)
	}
	return dir + "/weights"
}

// SetMixedPrecision changes the precision from the next forward pass on. The
// master weights stay as they are: switching there and back loses nothing.
func (m *Model) SetMixedPrecision(mp MixedPrecision) {
	const op = "Model.SetMixedPrecision"
	check(op, m.use(op).SetMixedPrecision(mp))
	m.wrap.MixedPrecision = mp
	if m.session == nil {
		return
	}
	if t := m.session.trainer; t != nil && !t.detached { // takes it over for the session, too
		t.ready(op)
		return
	}
	check(op, m.session.runtime.SetMixedPrecision(mp))
}

// MixedPrecision is the precision in force.
func (m *Model) MixedPrecision() MixedPrecision {
	return m.use("Model.MixedPrecision").MixedPrecision()
}

// Asked is how many log-probabilities were computed with the model as a
// reference. Each response counts once, however many epochs, betas and losses
// need it.
func (m *Model) Asked() int { return m.asked }

// reference answers a trainer whose cache lacks log-probabilities. A model that
// is not on a device yet goes where the policy is, without mixed precision.
func (m *Model) reference(policy *Model) func(ctx context.Context, examples []data.Example) ([]float32, error) {
	return func(ctx context.Context, examples []data.Example) (values []float32, err error) {
		raised := Try(func() {
			if m.placed == nil && !m.closed {
				m.wrap = policy.wrap
				m.wrap.MixedPrecision, m.wrap.ActivationCheckpointing = FullPrecision(), false
			}
			values, err = m.use("reference").LogProbs(ctx, examples, data.Preference, len(examples), nil)
		})
		if raised != nil {
			return nil, raised
		}
		m.asked += len(values)
		return values, err
	}
}

// cache is where a model's log-probabilities as a reference are kept.
func (m *Model) cache(op string) *train.ReferenceCache {
	if m.known == nil {
		c, err := train.OpenReferenceCache("", train.ReferenceName{})
		check(op, err)
		m.known = c
	}
	return m.known
}

// change notes that the weights are about to be trained.
func (m *Model) change() { m.trained, m.known = true, nil }
