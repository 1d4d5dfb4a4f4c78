package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/nn"
)

// ErrInterrupted is returned by Run when its context ended and a checkpoint
// was written (if the run has a directory).
var ErrInterrupted = errors.New("interrupted")

// Run trains until the data ends, evaluating and saving on the way. When ctx
// ends it stops between two blocks of the model, takes back the step it was in,
// writes a checkpoint and returns ErrInterrupted; calling Run again goes on as
// if nothing had happened.
func (t *Trainer) Run(ctx context.Context) error {
	for {
		m, err := t.Advance(ctx)
		if err != nil {
			if errors.Is(err, errAgreed) || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return t.interrupted()
			}
			return err
		}
		if m == nil {
			return t.save("LATEST")
		}
	}
}

// Advance evaluates if that is due, trains on the next batch of the source and
// returns its metrics, nil at the end of the data. When it fails, or ctx ends
// on the way, the step is taken back and the next call tries the same batch.
func (t *Trainer) Advance(ctx context.Context) (m Metrics, err error) {
	if err := t.stopped(ctx); err != nil {
		return nil, err
	}
	if t.evaluationDue() {
		if err := t.evaluateAndSave(ctx); err != nil {
			return nil, err
		}
	}
	before := t.source.State()
	batch, err := t.source.Next()
	if batch == nil || err != nil {
		return nil, err
	}
	updates := t.updates
	defer func() {
		if t.updates == updates { // an error, or a panic of a loss typed by a user
			err = errors.Join(err, t.source.Restore(before))
		}
	}()
	return t.StepContext(ctx, batch)
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
	t.evaluated = t.examples
	if t.samples > 0 && t.tokenizer != nil {
		if err := t.sampleTexts(ctx); err != nil {
			if ctx.Err() == nil {
				return err
			}
			t.log("the samples after %d train examples were interrupted", t.examples)
		}
	}
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
	return t.StepContext(context.Background(), batch)
}

// StepContext is Step with a context: when it ends before the optimizer has its
// turn, the step is abandoned and leaves no trace.
func (t *Trainer) StepContext(ctx context.Context, batch []data.Example) (m Metrics, err error) {
	start, tokens := time.Now(), t.Tokens()
	all := collector{}
	norm := 0.0
	taken := false
	defer func() {
		if !taken { // on an error, and on a panic of a loss or metric
			t.discard()
		}
	}()
	err = t.during(ctx, func() (err error) {
		for i := range t.settings.GradientAccumulationSteps {
			lo, hi := data.RankRange(len(batch), t.settings.GradientAccumulationSteps, i)
			if hi == lo {
				continue
			}
			if err := t.microstep(batch[lo:hi], float64(hi-lo)/float64(len(batch)), all); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil && !t.world.IsJob() { // the last chance: an update is not taken back
			return err
		}
		norm, err = t.update()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("step %d: %w", t.updates+1, err)
	}
	taken = true
	m = all.means()
	m["grad_norm"] = norm
	seconds := time.Since(start).Seconds()
	m["examples_per_second"], m["step_seconds"] = float64(len(batch))/seconds, seconds
	m["tokens"] = float64(t.Tokens() - tokens) // packed, through policy and reference
	t.examples += len(batch)
	return m, t.finishStep(m)
}

// finishStep counts, records and shows a step that has been taken.
func (t *Trainer) finishStep(m Metrics) error {
	t.updates++
	m["counters/examples"], m["counters/updates"] = float64(t.examples), float64(t.updates)
	r := t.remember("train", m)
	if err := t.endSessionStep(r); err != nil {
		return err
	}
	t.tell(r)
	t.logStep(m)
	if t.events.Progress != nil {
		t.events.Progress(t.examples, t.total, m)
	}
	if math.IsNaN(m["loss/train"]) {
		return fmt.Errorf("step %d: the loss is NaN: the weights, the data or a float16 range are at fault; no checkpoint was written", t.updates)
	}
	return nil
}

// endSessionStep makes the step part of the session, unless it has ruined the
// weights.
func (t *Trainer) endSessionStep(r Record) error {
	if t.session == nil {
		return nil
	}
	if math.IsNaN(r.Metrics["loss/train"]) {
		t.session.fail(fmt.Errorf("step %d: the loss is NaN", t.updates))
		return nil
	}
	err := errors.Join(t.session.append(r), t.session.commit())
	if err != nil {
		t.session.fail(err)
	}
	return err
}

// during runs fn with ctx in force for policy and reference.
func (t *Trainer) during(ctx context.Context, fn func() error) error {
	outer := t.ctx
	t.ctx = ctx
	defer func() { t.ctx = outer }()
	return t.policy.during(ctx, fn)
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
		nn.ZeroGrad(rep.policy)
		return nil
	})
	if t.reference != nil {
		t.reference.recover()
	}
}

// Evaluate returns the metrics over the evaluation examples, without
// gradients and in the precision in force.
func (t *Trainer) Evaluate(ctx context.Context) (Metrics, error) {
	all := collector{}
	finished := false
	defer func() {
		if !finished {
			t.discard()
		}
	}()
	err := t.during(ctx, func() error {
		for lo := 0; lo < len(t.evals); lo += t.settings.EvalBatchSize {
			if err := t.evaluate(t.evals[lo:min(lo+t.settings.EvalBatchSize, len(t.evals))], all); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	finished = true
	m := all.means()
	r := t.remember("eval", m)
	if t.session != nil {
		if err := errors.Join(t.session.append(r), t.session.note()); err != nil {
			return nil, err
		}
	}
	t.tell(r)
	return m, nil
}

// evaluate adds the values of one batch to all.
func (t *Trainer) evaluate(examples []data.Example, all collector) error {
	reference, err := t.referenceLogProbs(examples)
	if err != nil {
		return err
	}
	policy, err := t.forward(examples, false)
	if err != nil {
		return err
	}
	_, values, err := t.lossAndGradient(examples, policy, reference, false)
	if err != nil {
		return err
	}
	for name, v := range t.named(values, "eval") {
		all.add(name, v)
	}
	return nil
}
