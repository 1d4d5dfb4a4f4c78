package train

import (
	"context"
	"errors"
	"time"

	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/models"
	"dpolab/runtime/tokenizer"
)

// Events are what a Trainer tells while it runs. Any may be nil.
type Events struct {
	// Log receives the reference's log lines.
	Log func(line string)
	// Progress is called after every step with pairs done and in all (0 if
	// unknown).
	Progress func(done, total int, m Metrics)
	// Record receives every record as it is made.
	Record func(r Record)
}

// Trainer trains a policy over the ranks of a world.
type Trainer struct {
	settings Settings
	world    *distributed.World
	replicas []*replica
	scaler   *LossScaler

	policy     *Replicas
	ownsPolicy bool // loaded here, so released here
	// The reference is asked through a function, or loaded when first needed.
	askReference func(ctx context.Context, examples []data.Example) ([]float32, error)
	reference    *Replicas
	referenceDir string
	cache        *ReferenceCache // nil asks the reference every time
	ctx          context.Context // of the call now running

	session   *Session // nil keeps the run in this process
	source    DataSource
	tokenizer *tokenizer.Tokenizer
	evals     []data.Example
	samples   int
	total     int // training pairs expected, 0 if unknown
	events    Events

	examples  int
	updates   int
	evaluated int // examples at the last evaluation, -1 before the first
	logged    time.Time
	tokens    int // packed tokens run through policy and reference
	history   History
	started   time.Time
}

// Inputs are the models and data of a run.
type Inputs struct {
	// PolicyDir is the Hugging Face directory the policy starts from,
	// ReferenceDir the reference's; they are usually the same.
	PolicyDir, ReferenceDir string
	// Policy, if not nil, is trained instead of a model read from PolicyDir. It
	// keeps its own sharding and precision, and outlives the trainer.
	Policy *Replicas
	// Reference, if not nil, is asked for the reference log-probabilities of
	// examples (the chosen ones first) instead of a model read from
	// ReferenceDir.
	Reference func(ctx context.Context, examples []data.Example) ([]float32, error)
	// Source delivers training batches and can say and set its position.
	Source DataSource
	// Eval are the examples of every evaluation.
	Eval []data.Example
	// Total is how many training pairs there will be, 0 if unknown.
	Total int
	// Cache keeps reference log-probabilities; nil asks the reference model at
	// every step, as the reference code does.
	Cache *ReferenceCache
	// Tokenizer is saved with every checkpoint and decodes samples; nil does
	// without either.
	Tokenizer *tokenizer.Tokenizer
	// Session, if not nil, is where the run lives: Policy is the one that the
	// session has placed, and a run that has begun goes on.
	Session *Session
	// Samples is how many evaluation prompts are continued at each evaluation.
	Samples int
}

// DataSource is where batches come from, with a position that checkpoints
// store.
type DataSource interface {
	// Next returns the next batch, nil at the end.
	Next() ([]data.Example, error)
	State() data.State
	Restore(s data.State) error
}

// New loads the policy onto the world's ranks. The reference is loaded when a
// log-probability is missing from the cache.
func New(w *distributed.World, s Settings, in Inputs, events Events) (*Trainer, error) {
	if in.Policy != nil {
		if in.Policy.session != in.Session {
			return nil, errors.New("train: a session's policy is trained with that session, and no other: its steps must be safe from each other")
		}
		s.Sharding.MixedPrecision = in.Policy.MixedPrecision()
	}
	if !w.Leads() { // the first process of a job speaks for all
		events = Events{}
	}
	t := &Trainer{
		settings: s, world: w, events: events,
		replicas: make([]*replica, w.Size()),
		scaler:   NewLossScaler(s.Sharding.MixedPrecision.NeedsLossScale()),
		policy:   in.Policy, askReference: in.Reference, referenceDir: in.ReferenceDir, ctx: context.Background(),
		cache: in.Cache, source: in.Source, tokenizer: in.Tokenizer, evals: in.Eval, samples: in.Samples, total: in.Total,
		evaluated: -1, started: time.Now(),
	}
	if err := t.prepare(in.PolicyDir); err != nil {
		return nil, err
	}
	if in.Session != nil {
		if err := in.Session.attach(t); err != nil {
			return nil, errors.Join(err, t.Close())
		}
		t.session = in.Session
	}
	return t, nil
}

// Close frees what the trainer itself has taken on the ranks: optimizer state,
// gradients, and the models it loaded. It must not be used again.
func (t *Trainer) Close() error {
	t.discard()
	err := t.world.Run(func(r *distributed.Rank) error {
		t.replicas[r.Rank].optimizer.Release()
		return nil
	})
	if t.session != nil {
		t.session.detach()
		t.session = nil
	}
	if t.ownsPolicy {
		err = errors.Join(err, t.policy.Release())
	}
	if t.reference != nil {
		err = errors.Join(err, t.reference.Release())
		t.reference = nil
	}
	return err
}

// sft reports whether the run fine-tunes on chosen responses only.
func (t *Trainer) sft() bool { return t.settings.Loss == nil }

// sides is the number of responses per example: 1 for SFT, else 2.
func (t *Trainer) sides() int { return sidesOf(t.mode()) }

func (t *Trainer) mode() data.Mode {
	if t.sft() {
		return data.SFT
	}
	return data.Preference
}

// UseCache makes the trainer keep reference log-probabilities in c from now on.
func (t *Trainer) UseCache(c *ReferenceCache) { t.cache = c }

// Examples and Updates are the counters of the run so far.
func (t *Trainer) Examples() int { return t.examples }
func (t *Trainer) Updates() int  { return t.updates }

// History returns the records so far.
func (t *Trainer) History() *History { return &t.history }

// SetLoss, SetLR, SetSchedule and SetMetrics replace a setting from the next
// step on. The loss must not turn fine-tuning into preference training or back.
func (t *Trainer) SetLoss(fn loss.PreferenceLoss) error {
	if (fn == nil) != t.sft() {
		return errors.New("train: SetLoss cannot switch between SFT and a preference loss: the batches differ")
	}
	t.settings.Loss = fn
	return nil
}
func (t *Trainer) SetLR(lr float64)         { t.settings.LR = lr }
func (t *Trainer) SetSchedule(fn Schedule)  { t.settings.Schedule = fn }
func (t *Trainer) SetMetrics(list []Metric) { t.settings.Metrics = list }

// SetRecord replaces the function that receives every record.
func (t *Trainer) SetRecord(fn func(r Record)) { t.events.Record = fn }

// EvalExamples are the examples of every evaluation.
func (t *Trainer) EvalExamples() []data.Example { return t.evals }

// SetProgress replaces the function that is told of every step.
func (t *Trainer) SetProgress(fn func(done, total int, m Metrics)) { t.events.Progress = fn }

// Policy and Sharded return a rank's model, for code run on that rank.
func (t *Trainer) Policy(rank int) models.CausalLM { return t.replicas[rank].policy }
func (t *Trainer) Sharded(rank int) *fsdp.Model    { return t.replicas[rank].sharded }

// MixedPrecision returns the policy's precision.
func (t *Trainer) MixedPrecision() fsdp.MixedPrecision { return t.settings.Sharding.MixedPrecision }

// Reference returns a rank's reference model, loading it on all ranks if need
// be; it must be called from outside World.Run.
func (t *Trainer) Reference(rank int) (models.CausalLM, error) {
	if err := t.loadReference(); err != nil {
		return nil, err
	}
	return t.reference.Model(rank), nil
}

// World returns the ranks the trainer runs on.
func (t *Trainer) World() *distributed.World { return t.world }

// Tokens is the number of packed tokens all ranks have run through the policy
// and the reference.
func (t *Trainer) Tokens() int { return t.tokens }

// referenceLogProbs returns log π_ref of the chosen, then the rejected
// responses; nil for SFT.
func (t *Trainer) referenceLogProbs(examples []data.Example) ([]float32, error) {
	if t.sft() {
		return nil, nil
	}
	if t.cache == nil {
		return t.referenceForward(examples)
	}
	n := len(examples)
	out := make([]float32, 2*n)
	keys := make([]cacheKey, 2*n)
	missing := false
	for i, e := range examples {
		for s, response := range [][]int32{e.Chosen, e.Rejected} {
			v, ok := t.cache.lookup(e.Prompt, response)
			out[s*n+i], keys[s*n+i] = v, keyOf(e.Prompt, response)
			missing = missing || !ok
		}
	}
	missing, err := leadValues(t.world, out, missing)
	if err != nil {
		return nil, err
	}
	if !missing {
		return out, nil
	}
	values, err := t.referenceForward(examples)
	if err != nil {
		return nil, err
	}
	return values, t.cache.store(keys, values)
}

// PrecomputeReference asks the reference model for every response among the
// examples that the cache does not know, and frees it afterwards.
func (t *Trainer) PrecomputeReference(ctx context.Context, examples []data.Example) error {
	return t.during(ctx, func() error {
		for lo := 0; lo < len(examples); lo += t.settings.EvalBatchSize {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := t.referenceLogProbs(examples[lo:min(lo+t.settings.EvalBatchSize, len(examples))]); err != nil {
				return err
			}
		}
		return nil
	})
}
