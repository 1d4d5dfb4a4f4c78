package train

import (
	"dpolab/kernels/dtype"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/tensor"
)

// Schedule is a learning-rate factor for each optimizer step, counted from 0.
type Schedule func(step int) float64

// Metric computes a number per pair, float32 [B], from what the loss sees. It is
// called once per microbatch, on the controller, for the pairs of all ranks; its
// mean over the batch is recorded. In supervised fine-tuning only the policy's
// chosen side is there, the other tensors are nil.
type Metric struct {
	Name   string
	Values func(lp loss.LogProbs) *tensor.Tensor
}

// Settings are what a Trainer needs to know besides models and data. Batch
// sizes count pairs (responses for SFT) over all ranks.
type Settings struct {
	// Loss is the preference loss; nil trains by supervised fine-tuning on the
	// chosen responses.
	Loss loss.PreferenceLoss

	BatchSize                 int
	EvalBatchSize             int
	GradientAccumulationSteps int
	MaxGradNorm               float64

	Optimizer   string
	LR          float64
	WarmupSteps int
	// Schedule, if not nil, takes the place of the warm-up: the factor that LR
	// is multiplied by at a step, which counts from 0.
	Schedule Schedule
	// Metrics are computed beside the loss, under their names: kl/train, kl/eval.
	Metrics []Metric

	// EvalEvery is in pairs, a multiple of BatchSize; 0 never evaluates.
	EvalEvery   int
	DoFirstEval bool
	// CheckpointAtEval writes step-N after each evaluation but the first.
	CheckpointAtEval bool
	// LogInterval is the least number of seconds between printed statistics.
	LogInterval float64

	// Sharding wraps the policy and, without mixed precision, the reference.
	Sharding fsdp.Config
	// ReferenceDType is the type of the reference model's weights.
	ReferenceDType dtype.DType

	// RunDir receives metrics.jsonl and checkpoints; empty keeps the run in
	// memory.
	RunDir string
	// MaxLength bounds samples, prompt included.
	MaxLength int
	Seed      int
}

// DefaultSettings has the reference's defaults for supervised fine-tuning.
func DefaultSettings() Settings {
	return Settings{
		BatchSize: 4, EvalBatchSize: 16, GradientAccumulationSteps: 1, MaxGradNorm: 10,
		Optimizer: "RMSprop", LR: 5e-7, WarmupSteps: 150, DoFirstEval: true, CheckpointAtEval: true,
		LogInterval: 1, MaxLength: 512, ReferenceDType: dtype.Float16,
	}
}
