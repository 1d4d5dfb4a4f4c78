package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
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

	policyDir, referenceDir string
	cache                   *ReferenceCache // nil asks the reference every time

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
	tokens    []int // per rank, packed tokens run through a model
	history   History
	started   time.Time
}

// Inputs are the models and data of a run.
type Inputs struct {
	// PolicyDir is the Hugging Face directory the policy starts from,
	// ReferenceDir the reference's; they are usually the same.
	PolicyDir, ReferenceDir string
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
	ckpt, err := models.Open(in.PolicyDir)
	if err != nil {
		return nil, err
	}
	defer ckpt.Close()
	t := &Trainer{
		settings: s, world: w, events: events,
		replicas:  make([]*replica, w.Size()),
		scaler:    NewLossScaler(s.Sharding.MixedPrecision.NeedsLossScale()),
		policyDir: in.PolicyDir, referenceDir: in.ReferenceDir,
		cache: in.Cache, source: in.Source, tokenizer: in.Tokenizer, evals: in.Eval, samples: in.Samples, total: in.Total,
		tokens: make([]int, w.Size()), evaluated: -1, started: time.Now(),
	}
	if err := t.loadPolicy(ckpt); err != nil {
		return nil, err
	}
	return t, nil
}

// sft reports whether the run fine-tunes on chosen responses only.
func (t *Trainer) sft() bool { return t.settings.Loss == nil }

// sides is the number of responses per example: 1 for SFT, else 2.
func (t *Trainer) sides() int {
	if t.sft() {
		return 1
	}
	return 2
}

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
	return t.replicas[rank].reference, nil
}

// World returns the ranks the trainer runs on.
func (t *Trainer) World() *distributed.World { return t.world }

// Tokens is the number of packed tokens all ranks have run through the policy
// and the reference.
func (t *Trainer) Tokens() int {
	n := 0
	for _, k := range t.tokens {
		n += k
	}
	return n
}

// ErrInterrupted is returned by Run when its context ended and a checkpoint
// was written (if the run has a directory).
var ErrInterrupted = errors.New("interrupted")

// Run trains until the data ends, evaluating and saving on the way. When ctx
// ends it stops at the next step boundary, writes a checkpoint and returns
// ErrInterrupted; calling Run again goes on.
func (t *Trainer) Run(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return t.interrupted()
		}
		if t.evaluationDue() {
			if err := t.evaluateAndSave(ctx); err != nil {
				if ctx.Err() != nil {
					return t.interrupted()
				}
				return err
			}
		}
		batch, err := t.source.Next()
		if err != nil {
			return err
		}
		if batch == nil {
			break
		}
		if _, err := t.Step(batch); err != nil {
			return err
		}
	}
	return t.save("LATEST")
}

// interrupted saves where the run stands.
func (t *Trainer) interrupted() error {
	if t.settings.RunDir == "" {
		return ErrInterrupted
	}
	name := fmt.Sprintf("step-%d", t.examples)
	if err := t.save(name); err != nil {
		return fmt.Errorf("%w, and the checkpoint could not be written: %w", ErrInterrupted, err)
	}
	return fmt.Errorf("%w after %d examples; continue with resume=%s", ErrInterrupted, t.examples, t.checkpointDir(name))
}

func (t *Trainer) evaluationDue() bool {
	every := t.settings.EvalEvery
	return every > 0 && len(t.evals) > 0 && t.evaluated != t.examples && t.examples%every == 0 && (t.examples > 0 || t.settings.DoFirstEval)
}

func (t *Trainer) evaluateAndSave(ctx context.Context) error {
	t.log("Running evaluation after %d train examples", t.examples)
	m, err := t.Evaluate(ctx)
	if err != nil {
		return err
	}
	t.log("eval after %d: %s", t.examples, m)
	if t.samples > 0 && t.tokenizer != nil {
		if err := t.sampleTexts(ctx); err != nil {
			return err
		}
	}
	t.evaluated = t.examples
	if t.examples > 0 && t.settings.RunDir != "" {
		if !t.settings.CheckpointAtEval {
			t.log("skipping save in debug mode")
			return nil
		}
		return t.save(fmt.Sprintf("step-%d", t.examples))
	}
	return nil
}

// Step trains on one batch and returns its metrics. After an error the model
// is as it was before the step.
func (t *Trainer) Step(batch []data.Example) (Metrics, error) {
	start, tokens := time.Now(), t.Tokens()
	all := collector{}
	accumulation := t.settings.GradientAccumulationSteps
	for i := range accumulation {
		lo, hi := data.RankRange(len(batch), accumulation, i)
		if hi == lo {
			continue
		}
		if err := t.microstep(batch[lo:hi], float64(hi-lo)/float64(len(batch)), all); err != nil {
			t.discard()
			return nil, fmt.Errorf("step %d: %w", t.updates+1, err)
		}
	}
	norm, err := t.update()
	if err != nil {
		t.discard()
		return nil, fmt.Errorf("step %d: %w", t.updates+1, err)
	}
	t.updates++
	t.examples += len(batch)
	m := all.means()
	m["grad_norm"] = norm
	seconds := time.Since(start).Seconds()
	m["examples_per_second"], m["step_seconds"] = float64(len(batch))/seconds, seconds
	m["tokens"] = float64(t.Tokens() - tokens) // packed, through policy and reference
	m["counters/examples"], m["counters/updates"] = float64(t.examples), float64(t.updates)
	t.record("train", m)
	t.logStep(m)
	if t.events.Progress != nil {
		t.events.Progress(t.examples, t.total, m)
	}
	if math.IsNaN(m["loss/train"]) {
		return m, fmt.Errorf("step %d: the loss is NaN: the weights, the data or a float16 range are at fault; no checkpoint was written", t.updates)
	}
	return m, nil
}

// microstep runs forward, loss and backward of one microbatch, which is share
// of the whole batch.
func (t *Trainer) microstep(examples []data.Example, share float64, all collector) error {
	reference, err := t.referenceLogProbs(examples)
	if err != nil {
		return err
	}
	policy, err := t.forward(examples, true)
	if err != nil {
		return err
	}
	grads, values, err := t.lossAndGradient(examples, policy, reference, true)
	if err != nil {
		return err
	}
	for name, v := range t.named(values, "train") {
		all.add(name, v)
	}
	return t.backward(grads, share*t.scaler.Scale)
}

// discard drops what a failed step left on the ranks.
func (t *Trainer) discard() {
	_ = t.world.Run(func(r *distributed.Rank) error {
		rep := t.replicas[r.Rank]
		if rep.logps != nil {
			rep.logps.Release()
			rep.logps = nil
		}
		rep.sharded.Recover()
		if rep.referenceSharded != nil {
			rep.referenceSharded.Recover()
		}
		nn.ZeroGrad(rep.policy)
		return nil
	})
}

// Evaluate returns the metrics over the evaluation examples, without
// gradients and in the precision in force.
func (t *Trainer) Evaluate(ctx context.Context) (Metrics, error) {
	all := collector{}
	for lo := 0; lo < len(t.evals); lo += t.settings.EvalBatchSize {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		examples := t.evals[lo:min(lo+t.settings.EvalBatchSize, len(t.evals))]
		reference, err := t.referenceLogProbs(examples)
		if err != nil {
			return nil, err
		}
		policy, err := t.forward(examples, false)
		if err != nil {
			return nil, err
		}
		_, values, err := t.lossAndGradient(examples, policy, reference, false)
		if err != nil {
			return nil, err
		}
		for name, v := range t.named(values, "eval") {
			all.add(name, v)
		}
	}
	m := all.means()
	t.record("eval", m)
	return m, nil
}

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
	for lo := 0; lo < len(examples); lo += t.settings.EvalBatchSize {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := t.referenceLogProbs(examples[lo:min(lo+t.settings.EvalBatchSize, len(examples))]); err != nil {
			return err
		}
	}
	return nil
}

// lossAndGradient calls the loss on one microbatch, on the controller. It
// returns the gradient of the mean loss for every response, and the
// per-example values of the metrics.
func (t *Trainer) lossAndGradient(examples []data.Example, policy, reference []float32, gradient bool) (grads []float32, values map[string][]float32, err error) {
	err = tensor.Try(func() {
		dev := t.world.Device(0)
		dev.Scope(func() *tensor.Tensor {
			if t.sft() {
				logps := tensor.FromFloat32(dev, policy).SetRequiresGrad(gradient)
				losses := loss.SFT(logps)
				values = map[string][]float32{"logps/chosen": policy, "loss": losses.Float32s()}
				if gradient {
					losses.Mean().Backward(nil)
					grads = logps.Grad().Float32s()
				}
				return nil
			}
			grads, values = preference(dev, t.settings.Loss, examples, policy, reference, gradient)
			return nil
		})
	})
	return grads, values, err
}

// preference evaluates a preference loss.
func preference(dev *tensor.Device, fn loss.PreferenceLoss, examples []data.Example, policy, reference []float32, gradient bool) ([]float32, map[string][]float32) {
	n := len(examples)
	lengths := [2][]float32{}
	for _, e := range examples {
		lengths[0] = append(lengths[0], float32(len(e.Chosen)))
		lengths[1] = append(lengths[1], float32(len(e.Rejected)))
	}
	lp := loss.LogProbs{
		PolicyChosen:      tensor.FromFloat32(dev, policy[:n]).SetRequiresGrad(gradient),
		PolicyRejected:    tensor.FromFloat32(dev, policy[n:]).SetRequiresGrad(gradient),
		ReferenceChosen:   tensor.FromFloat32(dev, reference[:n]),
		ReferenceRejected: tensor.FromFloat32(dev, reference[n:]),
		ChosenLengths:     tensor.FromFloat32(dev, lengths[0]),
		RejectedLengths:   tensor.FromFloat32(dev, lengths[1]),
	}
	out := fn(lp)
	chosen, rejected := out.ChosenRewards.Float32s(), out.RejectedRewards.Float32s()
	accuracies, margins := make([]float32, n), make([]float32, n)
	for i := range n {
		margins[i] = chosen[i] - rejected[i]
		if chosen[i] > rejected[i] {
			accuracies[i] = 1
		}
	}
	values := map[string][]float32{
		"rewards/chosen": chosen, "rewards/rejected": rejected,
		"rewards/accuracies": accuracies, "rewards/margins": margins,
		"logps/chosen": policy[:n], "logps/rejected": policy[n:],
		"loss": out.Losses.Float32s(),
	}
	if !gradient {
		return nil, values
	}
	out.Losses.Mean().Backward(nil)
	grads := append(lp.PolicyChosen.Grad().Float32s(), lp.PolicyRejected.Grad().Float32s()...)
	return grads, values
}

// named puts the split into metric names as the reference does:
// rewards_train/chosen, loss/train.
func (t *Trainer) named(values map[string][]float32, split string) map[string][]float32 {
	out := make(map[string][]float32, len(values))
	for k, v := range values {
		switch {
		case k == "loss":
			out["loss/"+split] = v
		case k[:5] == "logps":
			out["logps_"+split+k[5:]] = v
		default:
			out["rewards_"+split+k[7:]] = v
		}
	}
	return out
}
