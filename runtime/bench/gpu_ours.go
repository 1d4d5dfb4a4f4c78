package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/runtime/data"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/tensor"
)

// slow is the length of a step, in seconds, after which no larger batch is
// tried: it would gain little and cost the other rows their time.
const slow = 3

// ours measures the product's own trainer: one model in memory for all cases of
// a group.
func (r *gpuRun) ours(ctx context.Context, group []*gpuCase) (err error) {
	var s *gpuSession
	defer func() { err = errors.Join(err, s.close()) }()
	for _, c := range group {
		for _, size := range r.o.Batches {
			if r.late() {
				r.over = true
				return nil
			}
			if s == nil {
				if s, err = r.open(c); err != nil {
					return err
				}
			}
			row, err := s.train(ctx, c, size)
			if errors.Is(err, tensor.ErrOutOfMemory) { // begin afresh, whatever is left of the step
				if err := s.close(); err != nil {
					return err
				}
				s = nil
				break
			}
			if err != nil {
				return fmt.Errorf("%s, %d pairs: %w", c.title(r.o), size, err)
			}
			before, seen := c.best(named(oursName))
			r.listed(c).Rows = append(c.Rows, row)
			r.say("%s: %s, %d pairs: %.3f s a step", c.title(r.o), row.Name, size, row.Seconds)
			if err := r.write(); err != nil {
				return err
			}
			if row.Seconds > slow || seen && row.rate() < before.rate() {
				break
			}
		}
		if best, ok := c.best(named(oursName)); ok && s != nil && c.DType == "bfloat16" && c.Profile == nil {
			if err := s.takeProfile(c, best); err != nil {
				return fmt.Errorf("%s: profile: %w", c.title(r.o), err)
			}
		}
	}
	return nil
}

// gpuSession is a trainer that goes from case to case.
type gpuSession struct {
	*training
	run   *gpuRun
	pairs map[string][]data.Example // by lengths
}

func (r *gpuRun) open(c *gpuCase) (*gpuSession, error) {
	dt := "float32"
	if c.Kind == "dpo" && !c.Cached && c.DType == "bfloat16" {
		dt = c.DType // the reference model's, which is not switched
	}
	r.say("opening the model: %s", c.title(r.o))
	parsed, err := dtype.Parse(dt)
	if err != nil {
		return nil, err
	}
	t, err := openTraining(&Job{Kind: c.Kind, Policy: r.model, Reference: r.model, LR: 1e-6, WarmupSteps: 1, MaxGradNorm: 10, Beta: 0.1,
		DType: dt, Cached: c.Cached, Devices: r.o.Devices, Optimizer: "AdamW"}, parsed)
	if err != nil {
		return nil, err
	}
	s := &gpuSession{training: t, run: r, pairs: map[string][]data.Example{}}
	for _, lengths := range []string{"fixed", "HH"} {
		s.pairs[lengths] = gpuPairs(r.o, lengths)
	}
	// Where the reference is cached, its model answers for all pairs of all cases,
	// and does not stay.
	if err := t.prepare(wire(slices.Concat(s.pairs["fixed"], s.pairs["HH"]))); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *gpuSession) close() error {
	if s == nil {
		return nil
	}
	kernels.AllowTF32(false)
	return s.training.close()
}

// precision switches to a case's.
func (s *gpuSession) precision(c *gpuCase) error {
	kernels.AllowTF32(c.DType == "tf32")
	mp := fsdp.FullPrecision()
	if c.DType == "bfloat16" {
		mp = fsdp.BFloat16Mixed()
	}
	return s.trainer.SetMixedPrecision(mp)
}

// train takes a step to warm up and then the timed ones.
func (s *gpuSession) train(ctx context.Context, c *gpuCase, size int) (row gpuRow, err error) {
	if err := s.precision(c); err != nil {
		return row, err
	}
	row = gpuRow{Name: oursName, Batch: size}
	var seconds []float64
	for i := range s.run.o.Rounds + 1 {
		if err := ctx.Err(); err != nil {
			return row, err
		}
		batch := s.pairs[c.Lengths][i*size : (i+1)*size]
		took, err := s.step(wire(batch))
		if err != nil {
			return row, err
		}
		if i == 0 {
			s.resetPeak()
			continue
		}
		seconds = append(seconds, took.Seconds[0])
		row.Total += took.Seconds[0]
		c.count(s.run.o.Shape, &row, batch)
	}
	slices.Sort(seconds)
	row.Seconds, row.Peak = seconds[len(seconds)/2], s.allocated()
	return row, nil
}

// takeProfile repeats the first timed step of the best batch size, once as it
// is and once with the device's marks around each piece of work.
func (s *gpuSession) takeProfile(c *gpuCase, best gpuRow) error {
	p, ok := s.world.Device(0).Backend().(kernels.Profiler)
	if !ok {
		return nil
	}
	batch := s.pairs[c.Lengths][best.Batch : 2*best.Batch]
	plain := gpuRow{Name: oursName, Batch: best.Batch}
	took, err := s.step(wire(batch))
	if err != nil {
		return err
	}
	plain.Seconds, plain.Total = took.Seconds[0], took.Seconds[0]
	c.count(s.run.o.Shape, &plain, batch)
	if err := p.StartProfile(); err != nil {
		return err
	}
	_, failed := s.step(wire(batch))
	profile, err := p.StopProfile()
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	c.Profile, c.profiled = &profile, plain
	return s.run.write()
}
