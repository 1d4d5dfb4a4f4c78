package bench

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"dpolab/kernels"
	_ "dpolab/kernels/cpu" // the backend that is measured
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/models"
	_ "dpolab/runtime/models/all"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
	"dpolab/runtime/train"
)

func openJob(j *Job) (job, error) {
	if j == nil {
		return nil, fmt.Errorf("bench: open without a job")
	}
	dt, err := dtype.Parse(j.DType)
	if err != nil {
		return nil, fmt.Errorf("bench: dtype: %w", err)
	}
	switch j.Kind {
	case "sft", "dpo":
		return openTraining(j, dt)
	case "packed", "padded":
		return openLayout(j, dt)
	}
	return nil, fmt.Errorf("bench: unknown kind of job %q", j.Kind)
}

// training is the product's own step: train.Trainer.
type training struct {
	job      *Job
	settings train.Settings
	inputs   train.Inputs
	world    *distributed.World
	trainer  *train.Trainer
	profile  *os.File
}

func openTraining(j *Job, dt dtype.DType) (*training, error) {
	s := train.DefaultSettings()
	s.Optimizer, s.LR, s.WarmupSteps, s.MaxGradNorm = cmp.Or(j.Optimizer, "RMSprop"), j.LR, j.WarmupSteps, j.MaxGradNorm
	s.GradientAccumulationSteps, s.EvalBatchSize = 1, 8
	s.ReferenceDType = dtype.Float32
	s.Sharding = fsdp.Config{Strategy: fsdp.NoShard}
	if j.Devices == "" {
		j.Devices = fmt.Sprintf("cpu:%d", max(1, j.Ranks))
	}
	if j.Ranks > 1 || strings.HasPrefix(j.Devices, "cuda") {
		s.Sharding.Strategy = fsdp.FullShard
		cfg, err := models.ReadConfig(j.Policy)
		if err != nil {
			return nil, err
		}
		m, err := models.New(cfg)
		if err != nil {
			return nil, err
		}
		s.Sharding.BlockName = m.Config().BlockName
	}
	if dt == dtype.BFloat16 {
		s.Sharding.MixedPrecision, s.ReferenceDType = fsdp.BFloat16Mixed(), dtype.BFloat16
	}
	in := train.Inputs{PolicyDir: j.Policy, ReferenceDir: j.Reference}
	if j.Kind == "dpo" {
		s.Loss = loss.DPO(j.Beta, 0)
		if j.Cached {
			cache, err := train.OpenReferenceCache("", train.ReferenceName{})
			if err != nil {
				return nil, err
			}
			in.Cache = cache
		}
	}
	t := &training{job: j, settings: s, inputs: in}
	var err error
	t.world, t.trainer, err = t.start()
	return t, err
}

// start loads the policy into a new world.
func (t *training) start() (*distributed.World, *train.Trainer, error) {
	devices, err := kernels.ParseDevices(t.job.Devices)
	if err != nil {
		return nil, nil, err
	}
	w, err := distributed.NewWorld(devices, t.job.Threads)
	if err != nil {
		return nil, nil, err
	}
	trainer, err := train.New(w, t.settings, t.inputs, train.Events{})
	if err != nil {
		w.Close()
		return nil, nil, err
	}
	return w, trainer, nil
}

// prepare fills the cache of reference log-probabilities, in a trainer of its
// own so that no reference model stays in memory.
func (t *training) prepare(examples []Pair) error {
	if t.inputs.Cache == nil {
		return nil
	}
	w, trainer, err := t.start()
	if err != nil {
		return err
	}
	defer w.Close()
	return trainer.PrecomputeReference(context.Background(), examplesOf(examples))
}

func (t *training) step(examples []Pair) (reply, error) {
	batch := examplesOf(examples)
	if t.job.Profile != "" && t.profile == nil && t.trainer.Updates() > 0 { // the first step warms up
		f, err := os.Create(t.job.Profile)
		if err != nil {
			return reply{}, fmt.Errorf("bench: %w", err)
		}
		t.profile = f
		if err := pprof.StartCPUProfile(f); err != nil {
			return reply{}, fmt.Errorf("bench: %w", err)
		}
	}
	start := time.Now()
	m, err := t.trainer.Step(batch)
	if err != nil {
		return reply{}, err
	}
	return reply{Seconds: []float64{time.Since(start).Seconds()}, Loss: m["loss/train"], Tokens: int(m["tokens"])}, nil
}

func (t *training) logProbs(examples []Pair) (reply, error) {
	logps, err := t.trainer.LogProbs(context.Background(), examplesOf(examples))
	return reply{LogProbs: logps, ParameterBytes: t.trainer.Sharded(0).ParameterBytes()}, err
}

func (t *training) resetPeak() {
	for i := range t.world.Size() {
		t.world.Device(i).Backend().ResetPeak()
	}
}

func (t *training) allocated() int64 {
	sum := int64(0)
	for i := range t.world.Size() {
		sum += t.world.Device(i).MemoryStats().PeakBytes
	}
	return sum
}

func (t *training) close() error {
	if t.profile != nil {
		pprof.StopCPUProfile()
		if err := t.profile.Close(); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	return t.world.Close()
}

// layout computes DPO's loss and all gradients of pairs in one of two layouts,
// with the same kernels: packed with shared prompts, or padded as the
// reference lays them out. The reference model is taken to be uniform.
type layout struct {
	dev    *tensor.Device
	model  models.CausalLM
	padded bool
	beta   float64
}

func openLayout(j *Job, dt dtype.DType) (*layout, error) {
	dev, err := tensor.Open(device.Device{Type: device.CPU}, j.Threads)
	if err != nil {
		return nil, err
	}
	m, err := models.Load(j.Policy, dev, dt)
	if err != nil {
		dev.Close()
		return nil, err
	}
	return &layout{dev: dev, model: m, padded: j.Kind == "padded", beta: j.Beta}, nil
}

func (l *layout) prepare([]Pair) error { return nil }

func (l *layout) step(examples []Pair) (out reply, err error) {
	batch := examplesOf(examples)
	start := time.Now()
	b := data.Pack(batch, data.Preference)
	if l.padded {
		b = paddedBatch(batch)
	}
	n := len(batch)
	l.dev.Scope(func() *tensor.Tensor {
		in := models.Input{IDs: b.IDs, Positions: b.Positions, Segments: b.Segments}
		logps := tensor.SegmentSum(l.model.LogProbs(in, b.LabelRows, b.Labels), b.Offsets)
		zero := tensor.Zeros(l.dev, dtype.Float32, n)
		mean := loss.DPO(l.beta, 0)(loss.LogProbs{
			PolicyChosen: logps.Narrow(0, 0, n), PolicyRejected: logps.Narrow(0, n, n),
			ReferenceChosen: zero, ReferenceRejected: zero, ChosenLengths: zero, RejectedLengths: zero,
		}).Losses.Mean()
		out.Loss = mean.Float64s()[0]
		mean.Backward(nil)
		return nil
	})
	nn.ZeroGrad(l.model)
	out.Seconds, out.Tokens = []float64{time.Since(start).Seconds()}, len(b.IDs)
	return out, nil
}

// paddedBatch lays every response out with a prompt of its own, padded at the
// end to the longest, which a causal model's labelled rows never see.
func paddedBatch(examples []data.Example) *data.Batch {
	p := data.Pad(examples, data.Preference)
	in := models.Pack(rowsOf(p))
	b := &data.Batch{IDs: in.IDs, Positions: in.Positions, Segments: in.Segments, Offsets: []int32{0}, Examples: examples}
	for r := range p.Rows {
		for i := 1; i < p.Width; i++ {
			if id := p.Labels[r*p.Width+i]; id >= 0 {
				b.LabelRows, b.Labels = append(b.LabelRows, int32(r*p.Width+i-1)), append(b.Labels, id)
			}
		}
		b.Offsets = append(b.Offsets, int32(len(b.Labels)))
	}
	return b
}

func rowsOf(p *data.Padded) [][]int32 {
	rows := make([][]int32, p.Rows)
	for i := range rows {
		rows[i] = p.IDs[i*p.Width : (i+1)*p.Width]
	}
	return rows
}

func (l *layout) logProbs([]Pair) (reply, error) {
	return reply{}, fmt.Errorf("bench: log-probabilities are compared in training jobs")
}

func (l *layout) resetPeak()       { l.dev.Backend().ResetPeak() }
func (l *layout) allocated() int64 { return l.dev.MemoryStats().PeakBytes }
func (l *layout) close() error     { return l.dev.Close() }
