package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func valid(t *testing.T, more ...string) []string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "pairs.jsonl")
	if err := os.WriteFile(file, []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return append([]string{"model=blank_model", "model.name_or_path=" + dir, "datasets=[hh]", "hh.path=" + file,
		"loss=dpo", "loss.beta=0.1", "exp_name=x"}, more...)
}

func TestDefaultsAreTheReferences(t *testing.T) {
	e := Default()
	if e.BatchSize != 4 || e.LR != 5e-7 || e.WarmupSteps != 150 || e.EvalEvery != 20000 || e.MaxGradNorm != 10 ||
		e.Optimizer != "RMSprop" || e.Model.ReferenceDType != "float16" || *e.NEpochs != 1 {
		t.Errorf("defaults changed: %+v", e)
	}
}

func TestParse(t *testing.T) {
	e, err := Parse([]string{"loss.beta=0.25", "loss=dpo", "lr=1e-6", "n_examples=1_000", "n_epochs=null",
		"datasets=[hh,shp]", "debug=true", "wandb.enabled=false", "model=pythia28", "model.fsdp_policy_mp=bfloat16"})
	if err != nil {
		t.Fatal(err)
	}
	if *e.Loss.Beta != 0.25 || e.Loss.Name != "dpo" || e.LR != 1e-6 || *e.NExamples != 1000 || e.NEpochs != nil ||
		!reflect.DeepEqual(e.Datasets, []string{"hh", "shp"}) || !e.Debug || e.Model.BlockName != "GPTNeoXLayer" {
		t.Errorf("parsed %+v", e)
	}
}

func TestYAMLRoundTrip(t *testing.T) {
	e, err := Parse(valid(t, "lr=3.5e-7", "n_examples=7", "datasets=[hh,pairs]", "local_run_dir=a: b"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, e.YAML(), 0o644); err != nil {
		t.Fatal(err)
	}
	back, err := Load(path)
	if err != nil {
		t.Fatalf("%v in\n%s", err, e.YAML())
	}
	if !reflect.DeepEqual(e, back) {
		t.Errorf("round trip:\n%s\nagainst\n%s", e.YAML(), back.YAML())
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{"model.block=GPT2Block", `did you mean "model.block_name"`},
		{"bacth_size=4", `did you mean "batch_size"`},
		{"beta=0.1", `did you mean "loss.beta"`},
		{"los=dpo", `did you mean "loss"`},
		{"modle=blank_model", `did you mean "model"`},
		{"xyzzy_plugh_frob=1", "unknown key"},
		{"batch_size", "want key=value"},
		{"batch_size=four", "want a whole number"},
		{"lr=fast", "want a number"},
		{"debug=yes", "want true or false"},
		{"trainer=TensorParallelTrainer", "FSDPTrainer shards the model"},
		{"trainer=Trainer", "want one of BasicTrainer, FSDPTrainer"},
		{"model.policy_dtype=int8", "want one of float32"},
		{"optimizer=Lion", "want one of RMSprop"},
		{"loss=kto", "no such preset"},
		{"model=gpt5", "no such preset"},
		{"wandb.enabled=true", "metrics.jsonl"},
		{"fsdp_port=12355", "one process"},
	} {
		_, err := Parse([]string{c.word})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.word, err, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	if e, err := Parse(valid(t)); err != nil || e.Validate() != nil {
		t.Fatalf("valid configuration refused: %v %v", err, e.Validate())
	}
	for _, c := range []struct{ word, want string }{
		{"exp_name=null", "exp_name is required"},
		{"model.name_or_path=/nonexistent/model", "no such directory"},
		{"n_epochs=null", "never ends"},
		{"loss.beta=null", "loss.beta is required"},
		{"loss.beta=-1", "more than 0"},
		{"loss.label_smoothing=0.5", "less than 0.5"},
		{"batch_size=0", "at least 1"},
		{"gradient_accumulation_steps=3", "want a multiple of 3"},
		{"trainer=FSDPTrainer", "model.block_name is required"},
		{"devices=cpu:2", "use trainer=FSDPTrainer"},
		{"devices=tpu", "unknown device"},
		{"model.fsdp_policy_mp=bfloat16", "needs trainer=FSDPTrainer"},
		{"cpu_offload=true", "needs trainer=FSDPTrainer"},
		{"datasets=[imdb]", "unknown dataset"},
		{"datasets=[shp]", "shp.path is required"},
		{"hh.path=/nonexistent.jsonl", "no such file"},
		{"max_prompt_length=512", "leaves no room"},
		{"max_grad_norm=0", "more than 0"},
		{"n_examples=0", "at least 1"},
		{"eval_every=0", "at least 1"},
		{"lr=nan", "at least 0"},
	} {
		e, err := Parse(valid(t, c.word))
		if err == nil {
			err = e.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.word, err, c.want)
		}
	}
}

func TestHelpNamesEveryKey(t *testing.T) {
	help := Help()
	for _, k := range Keys() {
		if !strings.Contains(help, k+"=") {
			t.Errorf("help does not mention %s", k)
		}
	}
}
