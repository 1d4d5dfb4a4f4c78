package config

import (
	"fmt"
	"math"
	"os"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed/rendezvous"
	"dpolab/runtime/fsdp"
)

// Validate checks everything that can be known before a file is read or
// written: required keys, ranges, and keys that contradict each other.
func (e *Experiment) Validate() error {
	switch {
	case e.ExpName == "":
		return fmt.Errorf("config: exp_name is required: it names the run")
	case e.Model.NameOrPath == "":
		return fmt.Errorf("config: model.name_or_path is required: a Hugging Face model directory")
	case e.NEpochs == nil && e.NExamples == nil:
		return fmt.Errorf("config: one of n_epochs and n_examples must be set, else training never ends")
	case len(e.Datasets) == 0:
		return fmt.Errorf("config: datasets is empty, want for example [hh]")
	case e.Threads < 0:
		return fmt.Errorf("config: threads=%d: want 0 or more", e.Threads)
	}
	for _, d := range []struct{ key, path, want string }{
		{"model.name_or_path", e.Model.NameOrPath, "a local Hugging Face model directory"},
		{"model.tokenizer_name_or_path", e.Model.TokenizerNameOrPath, "a directory with a tokenizer.json"},
		{"model.archive", e.Model.Archive, "a checkpoint, or a run with LATEST in it"},
		{"resume", e.Resume, "a checkpoint (step-N or LATEST)"},
	} {
		if d.path == "" {
			continue
		}
		if st, err := os.Stat(d.path); err != nil || !st.IsDir() {
			return fmt.Errorf("config: %s=%s: no such directory; give %s", d.key, d.path, d.want)
		}
	}
	if err := e.validateNumbers(); err != nil {
		return err
	}
	if err := e.validateLoss(); err != nil {
		return err
	}
	if err := e.validateSources(); err != nil {
		return err
	}
	return e.validateTrainer()
}

func (e *Experiment) validateNumbers() error {
	for _, c := range []struct {
		key   string
		value float64
		least float64
	}{
		{"batch_size", float64(e.BatchSize), 1},
		{"eval_batch_size", float64(e.EvalBatchSize), 1},
		{"gradient_accumulation_steps", float64(e.GradientAccumulationSteps), 1},
		{"max_length", float64(e.MaxLength), 2},
		{"max_prompt_length", float64(e.MaxPromptLength), 1},
		{"warmup_steps", float64(e.WarmupSteps), 0},
		{"n_eval_examples", float64(e.NEvalExamples), 0},
		{"n_eval_model_samples", float64(e.NEvalModelSamples), 0},
		{"eval_every", float64(e.EvalEvery), 1},
		{"lr", float64(e.LR), 0},
		{"minimum_log_interval_secs", float64(e.MinimumLogInterval), 0},
	} {
		if !(c.value >= c.least) || math.IsInf(c.value, 1) {
			return fmt.Errorf("config: %s=%v: want a number of at least %v", c.key, c.value, c.least)
		}
	}
	for _, c := range []struct {
		key   string
		value *int
	}{{"n_epochs", e.NEpochs}, {"n_examples", e.NExamples}} {
		if c.value != nil && *c.value < 1 {
			return fmt.Errorf("config: %s=%d: want at least 1, or null", c.key, *c.value)
		}
	}
	if !(e.MaxGradNorm > 0) {
		return fmt.Errorf("config: max_grad_norm=%v: want more than 0", float64(e.MaxGradNorm))
	}
	if e.MaxPromptLength >= e.MaxLength {
		return fmt.Errorf("config: max_prompt_length=%d leaves no room for a response within max_length=%d", e.MaxPromptLength, e.MaxLength)
	}
	return nil
}

func (e *Experiment) validateLoss() error {
	l := e.Loss
	if l.Name == "sft" {
		return nil
	}
	if l.Beta == nil {
		return fmt.Errorf("config: loss.beta is required for loss=%s, usually 0.1 to 0.5", l.Name)
	}
	if !(*l.Beta > 0) || math.IsInf(float64(*l.Beta), 1) {
		return fmt.Errorf("config: loss.beta=%v: want a number more than 0", float64(*l.Beta))
	}
	if !(l.LabelSmoothing >= 0 && l.LabelSmoothing < 0.5) {
		return fmt.Errorf("config: loss.label_smoothing=%v: want 0 or more and less than 0.5", float64(l.LabelSmoothing))
	}
	if l.Name == "ipo" && (l.LabelSmoothing != 0 || l.ReferenceFree) {
		return fmt.Errorf("config: loss.label_smoothing and loss.reference_free belong to loss=dpo; IPO has neither")
	}
	if l.Name == "dpo" && l.AverageLogProb {
		return fmt.Errorf("config: loss.average_log_prob belongs to loss=ipo; DPO's log-probs are sums")
	}
	return nil
}

// Source returns where the named dataset's files are.
func (e *Experiment) Source(name string) (Source, error) {
	switch name {
	case "hh":
		return e.HH, nil
	case "shp":
		return e.SHP, nil
	case "se":
		return Source{Path: e.SE.Path}, nil
	case "pairs":
		return e.Pairs, nil
	}
	return Source{}, fmt.Errorf("config: datasets: unknown dataset %q, want hh, shp, se or pairs", name)
}

func (e *Experiment) validateSources() error {
	for _, name := range e.Datasets {
		s, err := e.Source(name)
		if err != nil {
			return err
		}
		if s.Path == "" {
			return fmt.Errorf("config: %s.path is required with datasets=[%s]: a .jsonl or .jsonl.gz file, or a directory of them", name, name)
		}
		for _, f := range []struct{ key, path string }{{"path", s.Path}, {"test_path", s.TestPath}} {
			if f.path == "" {
				continue
			}
			if _, err := os.Stat(f.path); err != nil {
				return fmt.Errorf("config: %s.%s=%s: no such file or directory", name, f.key, f.path)
			}
		}
	}
	return nil
}

func (e *Experiment) validateTrainer() error {
	devices, err := kernels.ParseDevices(e.Devices)
	if err != nil {
		return fmt.Errorf("config: devices=%s: %w", e.Devices, err)
	}
	ranks := len(devices)
	if e.Trainer == "BasicTrainer" {
		switch {
		case ranks != 1:
			return fmt.Errorf("config: trainer=BasicTrainer runs on one device, devices=%s are %d: use trainer=FSDPTrainer", e.Devices, ranks)
		case e.Model.FSDPPolicyMP != "" || e.Model.FSDPReduceDType != "":
			return fmt.Errorf("config: model.fsdp_policy_mp needs trainer=FSDPTrainer; for BasicTrainer set model.policy_dtype")
		case e.ActivationCheckpointing:
			return fmt.Errorf("config: activation_checkpointing needs trainer=FSDPTrainer")
		case e.CPUOffload:
			return fmt.Errorf("config: cpu_offload needs trainer=FSDPTrainer")
		}
	} else if e.Model.BlockName == "" {
		return fmt.Errorf("config: model.block_name is required with trainer=FSDPTrainer: the class to wrap, such as GPTNeoXLayer")
	}
	if e.Model.FSDPReduceDType != "" && e.Model.FSDPPolicyMP == "" {
		return fmt.Errorf("config: model.fsdp_reduce_dtype refines model.fsdp_policy_mp, which is not set")
	}
	_, job, err := rendezvous.FromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	if !job { // else the ranks are counted when the processes have met
		if err := e.fits(ranks); err != nil {
			return err
		}
	}
	if e.ShardingStrategy != "HYBRID_SHARD" && e.ShardSize != 0 {
		return fmt.Errorf("config: shard_size belongs to sharding_strategy=HYBRID_SHARD")
	}
	return nil
}

// MixedPrecision returns the precision the policy trains in.
func (e *Experiment) MixedPrecision() fsdp.MixedPrecision {
	if e.Trainer == "BasicTrainer" {
		if dt := mustDType(e.Model.PolicyDType); dt != dtype.Float32 {
			return fsdp.MixedPrecision{ParamDType: dt, ReduceDType: dtype.Float32}
		}
		return fsdp.FullPrecision()
	}
	mp := fsdp.FullPrecision()
	if e.Model.PolicyDType != "float32" {
		mp = fsdp.MixedPrecision{ParamDType: mustDType(e.Model.PolicyDType), ReduceDType: dtype.Float32}
	}
	if e.Model.FSDPPolicyMP != "" {
		mp = fsdp.Uniform(mustDType(e.Model.FSDPPolicyMP))
	}
	if e.Model.FSDPReduceDType != "" {
		mp.ReduceDType = mustDType(e.Model.FSDPReduceDType)
	}
	return mp
}

// mustDType parses a name that the key's choices have already checked.
func mustDType(name string) dtype.DType {
	dt, err := dtype.Parse(name)
	if err != nil {
		panic(err)
	}
	return dt
}
