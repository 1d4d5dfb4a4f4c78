// Package config is an experiment's configuration: the reference DPO code's
// keys and defaults, read from "key=value" words as on its command line, and
// checked before anything is loaded or written.
//
//	exp, err := config.Parse([]string{"model=blank_model", "model.name_or_path=DIR",
//		"loss=dpo", "loss.beta=0.1", "datasets=[hh]", "hh.path=FILE", "exp_name=first"})
//
// A group word ("model=pythia28", "loss=dpo") fills its group's keys with a
// preset; keys given by name win over presets wherever they stand. Values are
// YAML scalars and lists, as in Hydra: 5e-7, true, null, [hh,shp].
//
// # Errors
//
// An unknown key names the nearest known one, a bad value says what is
// allowed, and keys of the reference that cannot mean anything here (fsdp_port,
// wandb.*) say why. All problems of [Experiment.Validate] are found before the
// first file is opened for writing.
package config

// Experiment holds every key. Fields carry their key, the group of values
// allowed where it is closed, and the line of help that "dpolab train -h"
// prints.
type Experiment struct {
	Seed          int      `key:"seed" help:"seed of sampling, and of initialisation where weights are missing"`
	ExpName       string   `key:"exp_name" help:"name of the run and its directory (required)"`
	BatchSize     int      `key:"batch_size" help:"preference pairs per optimizer step, over all ranks"`
	EvalBatchSize int      `key:"eval_batch_size" help:"pairs per evaluation batch, over all ranks; also prompts per sampling batch"`
	Debug         bool     `key:"debug" help:"skip step-N checkpoints; the last one is still written"`
	Datasets      []string `key:"datasets" help:"datasets to train on: hh, shp, se, pairs"`
	LocalDirs     []string `key:"local_dirs" help:"where runs go: the first that exists, else the last, which is made"`
	LocalRunDir   string   `key:"local_run_dir" help:"this run's directory (default: made from local_dirs, exp_name and the time)"`

	SampleDuringEval   bool `key:"sample_during_eval" help:"print samples from policy and reference at each evaluation"`
	NEvalModelSamples  int  `key:"n_eval_model_samples" help:"how many prompts to sample for"`
	DoFirstEval        bool `key:"do_first_eval" help:"evaluate before the first step"`
	EvalEvery          int  `key:"eval_every" help:"training pairs between evaluations and checkpoints, rounded to whole batches"`
	NEvalExamples      int  `key:"n_eval_examples" help:"pairs to evaluate on"`
	MinimumLogInterval F64  `key:"minimum_log_interval_secs" help:"least seconds between two printed lines of training statistics"`

	LR                        F64    `key:"lr" help:"learning rate after warm-up"`
	GradientAccumulationSteps int    `key:"gradient_accumulation_steps" help:"microbatches per optimizer step"`
	MaxGradNorm               F64    `key:"max_grad_norm" help:"gradients are scaled down to this global norm"`
	MaxLength                 int    `key:"max_length" help:"longest prompt plus response, in tokens"`
	MaxPromptLength           int    `key:"max_prompt_length" help:"what a prompt is cut to when prompt plus response are too long"`
	NEpochs                   *int   `key:"n_epochs" help:"passes over the data (null: until n_examples)"`
	NExamples                 *int   `key:"n_examples" help:"training pairs in all (null: until n_epochs)"`
	Trainer                   string `key:"trainer" choices:"BasicTrainer,FSDPTrainer" help:"BasicTrainer (one device) or FSDPTrainer (sharded over all devices)"`
	Optimizer                 string `key:"optimizer" choices:"RMSprop,AdamW,Adam,SGD" help:"RMSprop, AdamW, Adam or SGD, with PyTorch's defaults"`
	WarmupSteps               int    `key:"warmup_steps" help:"steps of linear warm-up; the rate is constant afterwards"`
	ActivationCheckpointing   bool   `key:"activation_checkpointing" help:"recompute each block in backward: less memory, more time (FSDPTrainer)"`

	Model Model `key:"model"`
	Loss  Loss  `key:"loss"`

	HH    Source      `key:"hh"`
	SHP   Source      `key:"shp"`
	SE    WholeSource `key:"se"`
	Pairs Source      `key:"pairs"`

	Devices           string `key:"devices" help:"cpu, cpu:N for N ranks, cuda:0, cuda:0,1, cuda:all, or cuda:0,0 for two ranks that share a GPU"`
	Threads           int    `key:"threads" help:"CPU threads per rank (0: the cores divided by the ranks)"`
	TF32              bool   `key:"tf32" help:"let GPUs round the operands of float32 products to TF32"`
	ShardingStrategy  string `key:"sharding_strategy" choices:"FULL_SHARD,SHARD_GRAD_OP,NO_SHARD,HYBRID_SHARD" help:"how FSDPTrainer spreads the model"`
	ShardSize         int    `key:"shard_size" help:"ranks per copy of the model under HYBRID_SHARD"`
	CPUOffload        bool   `key:"cpu_offload" help:"keep master weights, their gradients and the optimizer's state in host memory, and update them there (FSDPTrainer)"`
	ReferenceCache    bool   `key:"reference_cache" help:"keep reference log-probs on disk and ask the reference model once per pair; false asks it at every step"`
	ReferenceCacheDir string `key:"reference_cache_dir" help:"where they are kept (default: the user's cache directory)"`
	Resume            string `key:"resume" help:"checkpoint directory (step-N or LATEST) to continue from"`
	DropLast          bool   `key:"drop_last" help:"drop an epoch's incomplete last batch, as the reference does"`
}

// Model is the model.* group.
type Model struct {
	NameOrPath          string `key:"name_or_path" help:"Hugging Face model directory (required)"`
	TokenizerNameOrPath string `key:"tokenizer_name_or_path" help:"tokenizer directory, if not the model's"`
	Archive             string `key:"archive" help:"checkpoint directory whose weights policy and reference both start from, such as an SFT run's LATEST"`
	BlockName           string `key:"block_name" help:"class that FSDP wraps: GPT2Block, GPTNeoXLayer, LlamaDecoderLayer"`
	PolicyDType         string `key:"policy_dtype" choices:"float32,bfloat16,float16" help:"type the policy computes in; its master weights are float32 whatever it is"`
	FSDPPolicyMP        string `key:"fsdp_policy_mp" choices:"float32,bfloat16,float16" help:"FSDP mixed precision: type of parameters, reduction and buffers"`
	FSDPReduceDType     string `key:"fsdp_reduce_dtype" choices:"float32,bfloat16,float16" help:"type of the gradient reduction, where it should differ from fsdp_policy_mp"`
	ReferenceDType      string `key:"reference_dtype" choices:"float32,bfloat16,float16" help:"type of the reference model"`
}

// Loss is the loss.* group.
type Loss struct {
	Name           string `key:"name" choices:"sft,dpo,ipo" help:"sft, dpo or ipo"`
	Beta           *F64   `key:"beta" help:"strength of the KL constraint, usually 0.1 to 0.5 (required but for sft)"`
	LabelSmoothing F64    `key:"label_smoothing" help:"conservative DPO: probability that a label is wrong"`
	ReferenceFree  bool   `key:"reference_free" help:"DPO against a uniform reference"`
	AverageLogProb bool   `key:"average_log_prob" help:"IPO on log-probs averaged per token, as its authors and TRL do; the reference sums"`
}

// Source says where a dataset's files are.
type Source struct {
	Path     string `key:"path" help:"file or directory (.jsonl, .jsonl.gz)"`
	TestPath string `key:"test_path" help:"file or directory to evaluate on (default: path; a directory's test files, a single file again)"`
}

// WholeSource says where the files of a dataset without splits are; the pairs
// to evaluate on are taken out of them.
type WholeSource struct {
	Path string `key:"path" help:"file or directory (.jsonl, .jsonl.gz), of which the first hundredth, shuffled, is kept to evaluate on"`
}

// F64 is a float64 that prints as a person would write it.
type F64 float64

// Default returns the reference's defaults. Keys that have none (exp_name,
// model.name_or_path, loss.beta) are empty.
func Default() Experiment {
	one := 1
	return Experiment{
		BatchSize:                 4,
		EvalBatchSize:             16,
		Datasets:                  []string{"hh"},
		LocalDirs:                 []string{"/scr-ssd", "/scr", ".cache"},
		SampleDuringEval:          true,
		NEvalModelSamples:         16,
		DoFirstEval:               true,
		LR:                        5e-7,
		GradientAccumulationSteps: 1,
		MaxGradNorm:               10,
		MaxLength:                 512,
		MaxPromptLength:           256,
		NEpochs:                   &one,
		NEvalExamples:             256,
		Trainer:                   "BasicTrainer",
		Optimizer:                 "RMSprop",
		WarmupSteps:               150,
		EvalEvery:                 20_000,
		MinimumLogInterval:        1,
		Model:                     Model{PolicyDType: "float32", ReferenceDType: "float16"},
		Loss:                      Loss{Name: "sft"},
		Devices:                   "cpu",
		ShardingStrategy:          "FULL_SHARD",
		ReferenceCache:            true,
		DropLast:                  true,
	}
}
