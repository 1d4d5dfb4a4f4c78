package dpo

import (
	"fmt"
	"strings"

	"dpolab/runtime/data"
	"dpolab/runtime/optim"
)

// TrainConfig are the settings of a Trainer. Batch sizes count pairs over all
// ranks.
type TrainConfig struct {
	// Loss is the preference loss; SFT() fine-tunes on chosen responses.
	Loss PreferenceLoss

	BatchSize                 int
	EvalBatchSize             int
	GradientAccumulationSteps int
	MaxGradNorm               float64

	Optimizer   string // RMSprop, AdamW or SGD, with PyTorch's defaults
	LR          float64
	WarmupSteps int
	Schedule    Schedule // takes the place of the warm-up

	Epochs    int // passes over the data; 0: Examples alone ends the run
	Examples  int // pairs to train on; 0: Epochs alone ends the run
	EvalEvery int // pairs between evaluations within Run; 0: none
	Seed      int
	Shuffle   bool
	DropLast  bool // leave out an epoch's incomplete last batch

	MaxLength       int // tokens of prompt and response
	MaxPromptLength int // what a prompt is cut to when that is exceeded

	// RunDir receives metrics.jsonl and checkpoints; empty keeps all in memory.
	RunDir string
}

// DefaultTrainConfig has the reference DPO code's defaults, with DPO(0.1).
func DefaultTrainConfig() TrainConfig {
	return TrainConfig{Loss: DPO(0.1), BatchSize: 4, EvalBatchSize: 16, GradientAccumulationSteps: 1, MaxGradNorm: 10,
		Optimizer: "RMSprop", LR: 5e-7, WarmupSteps: 150, Epochs: 1, Shuffle: true, MaxLength: 512, MaxPromptLength: 256}
}

// Overridden is cfg with the key=value words for its fields put in, under the
// reference's keys: batch_size, eval_batch_size, gradient_accumulation_steps,
// max_grad_norm, optimizer, lr, warmup_steps, n_epochs, n_examples, eval_every,
// seed, max_length, max_prompt_length, local_run_dir; and loss (dpo, ipo, sft)
// with loss.beta and loss.label_smoothing, of which any replaces the loss.
func Overridden(cfg TrainConfig) TrainConfig {
	for key, field := range map[string]*int{"batch_size": &cfg.BatchSize, "eval_batch_size": &cfg.EvalBatchSize,
		"gradient_accumulation_steps": &cfg.GradientAccumulationSteps, "warmup_steps": &cfg.WarmupSteps, "n_epochs": &cfg.Epochs,
		"n_examples": &cfg.Examples, "eval_every": &cfg.EvalEvery, "seed": &cfg.Seed, "max_length": &cfg.MaxLength, "max_prompt_length": &cfg.MaxPromptLength} {
		*field = IntSetting(key, *field)
	}
	cfg.LR, cfg.MaxGradNorm = FloatSetting("lr", cfg.LR), FloatSetting("max_grad_norm", cfg.MaxGradNorm)
	cfg.Optimizer, cfg.RunDir = StringSetting("optimizer", cfg.Optimizer), StringSetting("local_run_dir", cfg.RunDir)
	_, named := setting("Overridden", "loss")
	_, beta := setting("Overridden", "loss.beta")
	_, smoothing := setting("Overridden", "loss.label_smoothing")
	if named || beta || smoothing {
		b := FloatSetting("loss.beta", 0.1)
		switch name := StringSetting("loss", "dpo"); name {
		case "dpo":
			cfg.Loss = CDPO(b, FloatSetting("loss.label_smoothing", 0))
		case "ipo":
			cfg.Loss = IPO(b)
		case "sft":
			cfg.Loss = SFT()
		default:
			refuse("Overridden", "loss=dpo, ipo or sft", "%s", name)
		}
	}
	return cfg
}

// String shows the settings as key=value words.
func (c TrainConfig) String() string {
	kind := "preference"
	if c.Loss == nil {
		kind = "sft"
	}
	return fmt.Sprintf("loss=%s batch_size=%d gradient_accumulation_steps=%d optimizer=%s lr=%g warmup_steps=%d max_grad_norm=%g n_epochs=%d n_examples=%d eval_every=%d seed=%d max_length=%d max_prompt_length=%d",
		kind, c.BatchSize, c.GradientAccumulationSteps, c.Optimizer, c.LR, c.WarmupSteps, c.MaxGradNorm, c.Epochs, c.Examples, c.EvalEvery, c.Seed, c.MaxLength, c.MaxPromptLength)
}

// validate raises the first setting that makes no sense.
func (c TrainConfig) validate(op string) {
	for _, f := range []struct {
		name  string
		value int
		least int
	}{{"BatchSize", c.BatchSize, 1}, {"EvalBatchSize", c.EvalBatchSize, 1}, {"GradientAccumulationSteps", c.GradientAccumulationSteps, 1},
		{"WarmupSteps", c.WarmupSteps, 0}, {"EvalEvery", c.EvalEvery, 0}, {"Epochs", c.Epochs, 0}, {"Examples", c.Examples, 0}, {"Seed", c.Seed, 0}} {
		if f.value < f.least {
			refuse(op, fmt.Sprintf("%s of %d or more", f.name, f.least), "%d", f.value)
		}
	}
	if !(c.LR > 0) {
		refuse(op, "LR above 0", "%g", c.LR)
	}
	if !(c.MaxGradNorm > 0) {
		refuse(op, "MaxGradNorm above 0", "%g", c.MaxGradNorm)
	}
	for _, name := range optim.Names() {
		if name == c.Optimizer {
			return
		}
	}
	refuse(op, "Optimizer "+strings.Join(optim.Names(), ", "), "%q", c.Optimizer)
}

// options is how batches are cut.
func (c TrainConfig) options() data.Options {
	return data.Options{BatchSize: c.BatchSize, Limits: data.Limits{MaxLength: c.MaxLength, MaxPromptLength: c.MaxPromptLength},
		SFT: c.Loss == nil, Epochs: c.Epochs, Examples: c.Examples, Seed: uint32(c.Seed), Shuffle: c.Shuffle, DropLast: c.DropLast}
}
