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
// # Interrupts and resuming
//
// [Trainer.Run] looks at its context between steps. A run that is cancelled
// writes a checkpoint first, so nothing is lost; [Trainer.Resume] continues
// from any checkpoint as if the run had never stopped, bit for bit.
package train
