package config

import (
	"fmt"
	"sort"
	"strings"
)

// modelPresets are the reference's config/model files: a Hub name that stands
// for a local directory of the same content, and the block to wrap.
var modelPresets = map[string]Model{
	"blank_model": {PolicyDType: "float32", ReferenceDType: "float16"},
	"gpt2-large":  {NameOrPath: "gpt2-large", BlockName: "GPT2Block", PolicyDType: "float32", ReferenceDType: "float16"},
	"gpt2-xl":     {NameOrPath: "gpt2-xl", BlockName: "GPT2Block", PolicyDType: "float32", ReferenceDType: "float16"},
	"llama7b":     {BlockName: "LlamaDecoderLayer", PolicyDType: "float32", ReferenceDType: "float16"},
	"pythia28":    {NameOrPath: "EleutherAI/pythia-2.8b", BlockName: "GPTNeoXLayer", PolicyDType: "float32", ReferenceDType: "float16"},
	"pythia69":    {NameOrPath: "EleutherAI/pythia-6.9b", BlockName: "GPTNeoXLayer", PolicyDType: "float32", ReferenceDType: "float16"},
}

// lossPresets are the reference's config/loss files, and the ipo it lacks.
var lossPresets = map[string]Loss{
	"sft": {Name: "sft"},
	"dpo": {Name: "dpo"},
	"ipo": {Name: "ipo"},
}

func choose[T any](group, name string, presets map[string]T) (T, error) {
	p, ok := presets[name]
	if !ok {
		names := make([]string, 0, len(presets))
		for n := range presets {
			names = append(names, n)
		}
		sort.Strings(names)
		return p, fmt.Errorf("config: %s=%s: no such preset, want one of %s", group, name, strings.Join(names, ", "))
	}
	return p, nil
}

// meaningless are keys that a user of the reference, or of another dataset,
// expects and that have nothing to act on here, with the reason; a value that
// asks for nothing is accepted.
var meaningless = map[string]struct{ harmless, why string }{
	"fsdp_port":     {"null", "all ranks live in one process and need no port"},
	"se.test_path":  {"null", "the dataset has one split, and the pairs to evaluate on are taken out of se.path"},
	"wandb.enabled": {"false", "metrics go to metrics.jsonl in the run directory, not to Weights & Biases"},
	"wandb.entity":  {"null", "metrics go to metrics.jsonl in the run directory, not to Weights & Biases"},
	"wandb.project": {"null", "metrics go to metrics.jsonl in the run directory, not to Weights & Biases"},
}

// absent are values of the reference's that nothing here answers to, with what
// does their work.
var absent = map[string]string{
	"trainer=TensorParallelTrainer": "layers are not split over devices; FSDPTrainer shards the model over all of them",
}
