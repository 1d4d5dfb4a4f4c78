package dpo

import (
	"context"
	"errors"
	"fmt"

	"dpolab/runtime/data"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/train"
	"dpolab/stdlib/display"
	"dpolab/stdlib/live"
)

// Metrics are the numbers of a step or an evaluation, under the reference DPO
// code's names: loss/train, rewards_train/margins, rewards_eval/accuracies,
// logps_train/chosen, grad_norm.
type Metrics = train.Metrics

// Record is one step or evaluation: Split ("train" or "eval"), Examples,
// Updates, Seconds and Metrics.
type Record = train.Record

// Trainer trains a policy on preferences. It belongs to the policy as it was
// wrapped when it was made.
type Trainer struct {
	cfg       TrainConfig
	policy    *Model
	reference *Model
	owned     bool // the reference was made here
	runtime   *train.Trainer
	iterator  *data.Iterator
	metrics   []train.Metric
	callbacks []Callback
	stop      context.CancelFunc // ends the Run or Steps in progress
	last      Metrics
	view      *live.View
	manual    manual
	detached  bool // its policy has left the devices, and the optimizer with it
	ended     bool // the last advance found no batch
	closed    bool
}

// NewTrainer prepares the training of policy on the pairs of train, with
// evaluation on those of eval, which may be nil. reference is asked for its
// log-probabilities once per response, however many trainers use it; nil takes
// the policy's own weights as they are, and SFT() needs none. With the policy of
// a [NamedSession] the trainer goes on where the session stands, and closes the
// one made before it.
func NewTrainer(policy, reference *Model, train, eval *Preferences, cfg TrainConfig) *Trainer {
	const op = "NewTrainer"
	cfg.validate(op)
	if train == nil {
		refuse(op, "preferences to train on", "nil")
	}
	if policy != nil && policy == reference {
		refuse(op, "a reference that is not trained", "the policy itself; policy.Copy() is one")
	}
	policy.use(op)
	t := &Trainer{cfg: cfg, policy: policy, reference: reference, view: live.New("training", "pairs")}
	it, err := data.NewIterator([]*data.Dataset{train.set}, policy.Tokenizer().forData(op), cfg.options())
	check(op, err)
	t.iterator = it
	var evals []data.Example
	if eval != nil {
		o := cfg.options()
		o.BatchSize, o.Epochs, o.Examples, o.DropLast, o.Shuffle = cfg.EvalBatchSize, 1, 0, false, false
		evals = eval.examples(op, policy.Tokenizer(), o)
	}
	if policy.session != nil {
		policy.session.join(op, t)
	} else if cfg.Loss != nil && reference == nil {
		t.reference, t.owned = policy.Copy(), true
	}
	t.start(op, evals)
	if policy.session != nil {
		policy.session.trainer = t
	}
	policy.change()
	policy.trainers = append(policy.trainers, t)
	remember(t)
	return t
}

// start makes the runtime's trainer.
func (t *Trainer) start(op string, evals []data.Example) {
	cfg := t.cfg
	s := train.DefaultSettings()
	s.Loss, s.BatchSize, s.EvalBatchSize, s.GradientAccumulationSteps = cfg.Loss, cfg.BatchSize, cfg.EvalBatchSize, cfg.GradientAccumulationSteps
	s.MaxGradNorm, s.Optimizer, s.LR, s.WarmupSteps, s.Schedule = cfg.MaxGradNorm, cfg.Optimizer, cfg.LR, cfg.WarmupSteps, cfg.Schedule
	if cfg.EvalEvery > 0 { // evaluations fall between batches
		s.EvalEvery = max(cfg.EvalEvery-cfg.EvalEvery%cfg.BatchSize, cfg.BatchSize)
	}
	s.CheckpointAtEval, s.RunDir, s.MaxLength, s.Seed = cfg.RunDir != "", cfg.RunDir, cfg.MaxLength, cfg.Seed
	in := train.Inputs{Policy: t.policy.placed, Source: t.iterator, Eval: evals, Total: t.iterator.Total(), Tokenizer: t.policy.Tokenizer().tok}
	if t.reference != nil {
		in.Reference, in.Cache = t.reference.reference(t.policy), t.reference.cache(op)
	}
	if s := t.policy.session; s != nil {
		in.Session = s.runtime
	}
	r, err := train.New(t.policy.world.World, s, in, train.Events{})
	check(op, err)
	t.runtime = r
	r.SetRecord(t.record)
	for _, past := range r.History().Records {
		t.view.Recall(past.Examples, past.Metrics)
	}
}

// record shows a step and tells the callbacks of it.
func (t *Trainer) record(r Record) {
	if r.Split == "train" {
		t.last = r.Metrics
	}
	switch {
	case quiet():
	case r.Split == "train":
		t.view.Train(r.Examples, t.iterator.Total(), r.Metrics)
	default:
		t.view.Eval(r.Examples, r.Metrics)
	}
	for _, fn := range t.callbacks {
		fn(r)
	}
}

// ready raises if the trainer cannot be used any more, and takes over a
// precision that was set on the model.
func (t *Trainer) ready(op string) {
	switch {
	case t.closed:
		refuse(op, "an open trainer", "a closed one")
	case t.policy.closed:
		refuse(op, "an open policy", "a closed one")
	case t.detached:
		refuse(op, "the policy as it was when the trainer was made", "one that FSDP has wrapped again since; make a new trainer")
	}
	if mp := t.policy.MixedPrecision(); mp != t.runtime.MixedPrecision() {
		check(op, t.runtime.SetMixedPrecision(mp))
	}
	warnUnknown()
	t.policy.change()
}

// look begins to show the run, in one display for all that a cell trains.
func (t *Trainer) look() {
	if !quiet() && t.view.Begin(t.runtime.Examples(), t.iterator.Total()) {
		display.AtEnd(t.view.End)
	}
}

// advance trains on n batches at most, n < 0 meaning all, and returns how many
// there were.
func (t *Trainer) advance(op string, n int) int {
	t.ready(op)
	t.manual.end(t)
	ctx, stop := context.WithCancel(Context())
	defer stop()
	t.stop = stop
	defer func() { t.stop = nil }()
	t.look()
	for i := 0; n < 0 || i < n; i++ {
		m, err := t.runtime.Advance(ctx)
		if err != nil {
			if errors.Is(err, context.Canceled) && Context().Err() == nil {
				return i // Stop was called
			}
			check(op, err)
		}
		if t.ended = m == nil; t.ended {
			return i
		}
	}
	return n
}

// Step trains on the next batch and returns its metrics. At the end of the data
// it raises [EndOfData].
func (t *Trainer) Step() Metrics { return t.Steps(1) }

// Steps trains on n batches, fewer at the end of the data, and returns the last
// one's metrics. If there is no batch left at all it raises [EndOfData]; loops
// that go to the end use Next. After Stop in the first step it returns the
// metrics of the step before.
func (t *Trainer) Steps(n int) Metrics {
	const op = "Trainer.Steps"
	if n < 1 {
		refuse(op, "1 step or more", "%d", n)
	}
	if t.advance(op, n) == 0 && t.ended {
		check(op, fmt.Errorf("%w after %d pairs: set more Epochs or Examples, or make a new trainer", EndOfData, t.runtime.Examples()))
	}
	return t.last
}

// Next is Step for loops, false at the end of the data:
//
//	for tr.Next() {
//		fmt.Println(tr.Last()["loss/train"])
//	}
func (t *Trainer) Next() bool { return t.advance("Trainer.Next", 1) == 1 }

// Last are the metrics of the last training step, nil before the first.
func (t *Trainer) Last() Metrics { return t.last }

// Run trains to the end of the data, or until Stop, with the evaluations that
// the settings ask for. Interrupted, it raises; called again, it goes on as if
// it had not been.
func (t *Trainer) Run() *History {
	t.advance("Trainer.Run", -1)
	if t.cfg.RunDir != "" {
		check("Trainer.Run", t.runtime.SaveTo(t.cfg.RunDir+"/LATEST"))
	}
	return t.History()
}

// Stop ends the Run or Steps in progress after the current step; it is for
// callbacks.
func (t *Trainer) Stop() {
	if t.stop != nil {
		t.stop()
	}
}

// Evaluate returns the metrics over the evaluation pairs, without gradients and
// in the precision in force.
func (t *Trainer) Evaluate() Metrics {
	t.ready("Trainer.Evaluate")
	if len(t.runtime.EvalExamples()) == 0 {
		refuse("Trainer.Evaluate", "evaluation pairs given to NewTrainer", "none")
	}
	m, err := t.runtime.Evaluate(Context())
	check("Trainer.Evaluate", err)
	return m
}

// PrecomputeReference asks the reference now for what all evaluation pairs
// need, rather than when it is needed.
func (t *Trainer) PrecomputeReference() {
	t.ready("Trainer.PrecomputeReference")
	check("Trainer.PrecomputeReference", t.runtime.PrecomputeReference(Context(), t.runtime.EvalExamples()))
}

// SetMixedPrecision changes the policy's precision from the next step on.
// Master weights and optimizer state stay as they are.
func (t *Trainer) SetMixedPrecision(mp MixedPrecision) {
	t.ready("Trainer.SetMixedPrecision")
	check("Trainer.SetMixedPrecision", t.runtime.SetMixedPrecision(mp))
	t.policy.wrap.MixedPrecision = mp
}

// MixedPrecision is the policy's precision.
func (t *Trainer) MixedPrecision() fsdp.MixedPrecision { return t.policy.MixedPrecision() }

// SetLoss changes the loss from the next step on. A trainer made for SFT stays
// one.
func (t *Trainer) SetLoss(fn PreferenceLoss) {
	t.ready("Trainer.SetLoss")
	check("Trainer.SetLoss", t.runtime.SetLoss(fn))
	t.cfg.Loss = fn
}

// SetLR changes the learning rate that the schedule's factor applies to.
func (t *Trainer) SetLR(lr float64) {
	if !(lr > 0) {
		refuse("Trainer.SetLR", "a rate above 0", "%g", lr)
	}
	t.cfg.LR = lr
	t.runtime.SetLR(lr)
}

// SetSchedule replaces the learning-rate schedule; nil is the warm-up.
func (t *Trainer) SetSchedule(fn Schedule) {
	t.cfg.Schedule = fn
	t.runtime.SetSchedule(fn)
}

// AddMetric records fn's mean over each batch as name/train and name/eval. A
// name given again replaces the metric. In SFT fn sees PolicyChosen and
// ChosenLengths only.
func (t *Trainer) AddMetric(name string, fn Metric) {
	if name == "" || fn == nil {
		refuse("Trainer.AddMetric", "a name and a function", "%q, %t", name, fn != nil)
	}
	m := train.Metric{Name: name, Values: fn}
	list := []train.Metric{}
	for _, old := range t.metrics {
		if old.Name != name {
			list = append(list, old)
		}
	}
	t.metrics = append(list, m)
	t.runtime.SetMetrics(t.metrics)
}

// OnRecord calls fn after every step and evaluation from now on.
func (t *Trainer) OnRecord(fn Callback) { t.callbacks = append(t.callbacks, fn) }

// ClearCallbacks forgets what OnRecord was given.
func (t *Trainer) ClearCallbacks() { t.callbacks = nil }

// SaveCheckpoint writes weights, optimizer state and position to dir, from
// which Resume goes on bit for bit.
func (t *Trainer) SaveCheckpoint(dir string) {
	t.ready("Trainer.SaveCheckpoint")
	check("Trainer.SaveCheckpoint", t.runtime.SaveTo(dir))
}

// Resume goes on from a checkpoint: make the trainer with a policy loaded from
// dir, and with the reference and data of the run.
func (t *Trainer) Resume(dir string) {
	t.ready("Trainer.Resume")
	check("Trainer.Resume", t.runtime.Resume(dir))
}

// Close frees optimizer state and gradients, and the reference if NewTrainer
// made it. The policy stays.
func (t *Trainer) Close() {
	if t.closed {
		return
	}
	t.view.End()
	err := t.detach()
	t.closed = true
	forget(t)
	for i, o := range t.policy.trainers {
		if o == t {
			t.policy.trainers = append(t.policy.trainers[:i], t.policy.trainers[i+1:]...)
			break
		}
	}
	if t.owned {
		t.reference.Close()
	}
	check("Trainer.Close", err)
}

// detach frees what the trainer holds beside the policy's weights.
func (t *Trainer) detach() error {
	if t.detached {
		return nil
	}
	t.manual.end(t)
	t.detached = true
	if t.manual.dev != nil {
		t.manual.dev.Close()
	}
	return t.runtime.Close()
}

func (t *Trainer) String() string {
	s := fmt.Sprintf("trainer: %d of %d pairs, %d updates", t.runtime.Examples(), t.iterator.Total(), t.runtime.Updates())
	if t.last != nil {
		s += fmt.Sprintf(", loss/train %.4f", t.last["loss/train"])
	}
	if t.closed {
		return s + ", closed"
	}
	return s + fmt.Sprintf(", %s lr=%g, %s", t.cfg.Optimizer, t.cfg.LR, t.MixedPrecision())
}
