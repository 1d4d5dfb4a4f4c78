// Package train runs supervised fine-tuning and preference optimization over a
// world of ranks, with the reference DPO code's behaviour: its batch slicing,
// loss weighting, evaluation and checkpoint cadence, and metric names.
//
// # One optimizer step
//
// A batch of preference pairs is cut into microbatches, each microbatch into
// one contiguous slice per rank. Every rank packs its slice (no padding, the
// prompt once per pair), runs the policy and reports one log-probability per
// response. Those few numbers meet on the controller, where the loss, a pure
// function, is called once; the gradient of the log-probabilities goes back to
// the ranks and each runs its backward pass. After the last microbatch the
// gradient norm is taken over all ranks and the optimizer updates each rank's
// shards.
//
// Reference log-probabilities are asked for by the content of the pair and
// kept in a [ReferenceCache]; the reference model is not even loaded when
// every pair is known.
//
// [Replicas] are a model on all ranks without a trainer: several trainers may
// take one as their policy, in turn, or ask one as their reference. Metrics and
// schedules of a user's own are functions in [Settings], called on the
// controller like the loss. [Trainer.Forward], [Trainer.Backward] and
// [Trainer.Update] are the parts of a step, for loops written by hand.
//
// # Interrupts and resuming
//
// Every block of a model looks at the context before it computes, and once more
// the step does before the update. A step that is cancelled is taken back, its
// batch with it: calling [Trainer.Run] again goes on, bit for bit as if nothing
// had happened. A run with a directory also writes a checkpoint, from which
// [Trainer.Resume] continues elsewhere. A [Session] needs neither: the run lives
// in mapped files, and every process that attaches it goes on with the next step,
// also after a kill in the middle of one.
//
// # Errors
//
// A step that fails (memory exhausted, a loss of the wrong shape) is an error,
// and one whose loss panics by itself panics; either way trainer and models are
// as they were before it.
package train
