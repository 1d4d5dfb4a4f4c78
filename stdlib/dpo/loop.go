package dpo

import (
	"fmt"

	"dpolab/kernels/device"
	"dpolab/runtime/data"
	"dpolab/runtime/tensor"
	"dpolab/runtime/train"
)

// manual is the state of a training loop written by hand. Tensors computed
// from a forward pass live on a device of their own, inside a memory scope that
// is held open from the first Forward to OptimizerStep: what the loop made in
// between is freed together, and using it afterwards is an error, not a crash.
type manual struct {
	dev    *tensor.Device
	finish chan struct{} // closing it ends the scope
	ended  chan struct{}
	pass   *train.Pass
	pairs  int
	passes int     // backward passes since the last step
	loss   float64 // sum of what they were given
}

// begin opens the scope unless it is open.
func (m *manual) begin() error {
	if m.dev == nil {
		dev, err := tensor.Open(device.Device{Type: device.CPU}, 1)
		if err != nil {
			return err
		}
		m.dev = dev
	}
	if m.finish != nil {
		return nil
	}
	m.finish, m.ended = make(chan struct{}), make(chan struct{})
	opened := make(chan struct{})
	go func(dev *tensor.Device, finish, ended chan struct{}) {
		dev.Scope(func() *tensor.Tensor {
			close(opened)
			<-finish
			return nil
		})
		close(ended)
	}(m.dev, m.finish, m.ended)
	<-opened
	m.pairs, m.passes, m.loss = 0, 0, 0
	return nil
}

// end frees what the loop's tensors hold and drops gradients that were not
// used.
func (m *manual) end(t *Trainer) {
	if m.finish == nil {
		return
	}
	m.free()
	t.runtime.Discard()
}

func (m *manual) free() {
	close(m.finish)
	<-m.ended
	m.finish, m.pass = nil, nil
}

// NextBatch takes the next batch from the data, nil at the end:
//
//	for b := tr.NextBatch(); b != nil; b = tr.NextBatch() {
//		lp := tr.Forward(b)
//		tr.Backward(loss(lp).Losses.Mean())
//		tr.OptimizerStep()
//	}
func (t *Trainer) NextBatch() *Batch {
	t.ready("Trainer.NextBatch")
	check("Trainer.NextBatch", Context().Err())
	examples, err := t.iterator.Next()
	check("Trainer.NextBatch", err)
	if examples == nil {
		return nil
	}
	return &Batch{examples, t.policy.Tokenizer()}
}

// Forward runs the policy over b on all ranks, recording what Backward needs,
// and gives the log-probabilities, with the reference's. They, and what is
// computed from them, live until OptimizerStep; Item and Float32s take numbers
// out.
func (t *Trainer) Forward(b *Batch) LogProbs {
	const op = "Trainer.Forward"
	t.ready(op)
	if b == nil || b.Len() == 0 {
		refuse(op, "at least one pair", "none")
	}
	check(op, t.manual.begin())
	t.look()
	pass, err := t.runtime.Forward(Context(), t.manual.dev, b.examples)
	check(op, err)
	t.manual.pass = pass
	t.manual.pairs += b.Len()
	return pass.LogProbs
}

// Backward differentiates l, a scalar computed from the last Forward's
// log-probabilities, through the policy on all ranks. Gradients add up until
// OptimizerStep: for n microbatches multiply each mean loss by 1/n.
func (t *Trainer) Backward(l *Tensor) {
	const op = "Trainer.Backward"
	t.ready(op)
	if t.manual.pass == nil {
		refuse(op, "a Forward before it", "none since the last Backward")
	}
	if l == nil || l.Len() != 1 {
		got := "nil"
		if l != nil {
			got = fmt.Sprintf("shape %v; take its Mean or Sum", l.Shape())
		}
		refuse(op, "a scalar", "%s", got)
	}
	value := 0.0
	pass := t.manual.pass
	t.manual.pass = nil
	try(op, func() { value = l.Item() })
	check(op, t.runtime.Backward(Context(), pass, l))
	t.manual.passes++
	t.manual.loss += value
}

// OptimizerStep clips the gradients, updates the weights on all ranks and frees
// the loop's tensors. Its metrics, in History too, are loss/train (the sum of
// what Backward was given), grad_norm and lr.
func (t *Trainer) OptimizerStep() Metrics {
	const op = "Trainer.OptimizerStep"
	t.ready(op)
	if t.manual.finish == nil || t.manual.passes == 0 {
		refuse(op, "gradients from Backward", "none since the last step")
	}
	pairs, values := t.manual.pairs, Metrics{"loss/train": t.manual.loss}
	t.manual.free()
	m, err := t.runtime.Update(pairs, values)
	check(op, err)
	return m
}

// ZeroGrad drops gradients and tensors of the passes since the last step.
func (t *Trainer) ZeroGrad() {
	t.ready("Trainer.ZeroGrad")
	t.manual.end(t)
}

// ComputeLogProbs is the policy's log-probabilities of b, without gradients.
func (t *Trainer) ComputeLogProbs(b *Batch) PairLogProbs { return ComputeLogProbs(t.policy, b) }

// EvalBatch is the evaluation pairs as one batch.
func (t *Trainer) EvalBatch() *Batch {
	return &Batch{append([]data.Example(nil), t.runtime.EvalExamples()...), t.policy.Tokenizer()}
}
