package config

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "dpolab/kernels/cpu"
	_ "dpolab/runtime/models/all"
	"dpolab/runtime/train"
)

// lab is a folder with everything a run reads, and the words that start it.
type lab struct {
	t    *testing.T
	root string
}

func newLab(t *testing.T) lab {
	t.Helper()
	l := lab{t, t.TempDir()}
	for from, names := range map[string][]string{
		"../train/testdata/llama": {"config.json", "model.safetensors"},
		"../demo/tiny":            {"tokenizer.json", "tokenizer_config.json"},
	} {
		for _, name := range names {
			l.write("model/"+name, l.read(filepath.Join(from, name)))
		}
	}
	l.write("pairs.jsonl", l.read("../train/testdata/pairs.jsonl"))
	return l
}

func (l lab) path(name string) string { return filepath.Join(l.root, name) }

func (l lab) read(path string) []byte {
	l.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	return text
}

func (l lab) write(name string, text []byte) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(l.path(name)), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(l.path(name), text, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l lab) remove(name string) {
	l.t.Helper()
	if err := os.Remove(l.path(name)); err != nil {
		l.t.Fatal(err)
	}
}

// replace changes the one place where a file of text says old.
func (l lab) replace(name, old, new string) {
	l.t.Helper()
	text := l.read(l.path(name))
	if bytes.Count(text, []byte(old)) != 1 {
		l.t.Fatalf("%s says %q %d times", name, old, bytes.Count(text, []byte(old)))
	}
	l.write(name, bytes.Replace(text, []byte(old), []byte(new), 1))
}

// edit changes a JSON object.
func (l lab) edit(name string, change func(object map[string]any)) {
	l.t.Helper()
	var object map[string]any
	if err := json.Unmarshal(l.read(l.path(name)), &object); err != nil {
		l.t.Fatal(err)
	}
	change(object)
	text, err := json.Marshal(object)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(name, text)
}

// poison stores a value in the last element of the weights.
func (l lab) poison(value float64) {
	text := l.read(l.path("model/model.safetensors"))
	binary.LittleEndian.PutUint32(text[len(text)-4:], math.Float32bits(float32(value)))
	l.write("model/model.safetensors", text)
}

func (l lab) words(more ...string) []string {
	return append([]string{"model=blank_model", "model.name_or_path=" + l.path("model"), "model.block_name=LlamaDecoderLayer",
		"model.reference_dtype=float32", "datasets=[hh]", "hh.path=" + l.path("pairs.jsonl"), "loss=dpo", "loss.beta=0.1",
		"trainer=FSDPTrainer", "devices=cpu:2", "exp_name=x", "batch_size=8", "eval_batch_size=8", "n_eval_examples=8",
		"max_length=48", "max_prompt_length=20", "sample_during_eval=false",
		"local_run_dir=" + l.path("run"), "reference_cache_dir=" + l.path("cache")}, more...)
}

// start does what "dpolab train" does before its first step.
func (l lab) start(words []string, log func(string)) (*Run, error) {
	e, err := Parse(words)
	if err != nil {
		return nil, err
	}
	r, err := e.Start(context.Background(), train.Events{Log: log})
	if err == nil {
		l.t.Cleanup(r.Close)
	}
	return r, err
}

// tree lists all files and folders of the lab.
func (l lab) tree() (out []string) {
	l.t.Helper()
	err := filepath.WalkDir(l.root, func(path string, d fs.DirEntry, err error) error {
		out = append(out, path)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func TestStart(t *testing.T) {
	l := newLab(t)
	before := l.tree()
	r, err := l.start(l.words(), nil)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := r.Train.Next()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := r.Trainer.Step(batch); err != nil || !(math.Abs(m["loss/train"]-math.Ln2) < 1e-4) {
		t.Errorf("first step: loss %g, %v", m["loss/train"], err)
	}
	if len(r.Eval) != 8 {
		t.Errorf("%d evaluation examples, want 8", len(r.Eval))
	}
	back, err := Load(l.path("run/config.yaml"))
	if err != nil || back.Loss.Name != "dpo" || back.LocalRunDir != l.path("run") {
		t.Errorf("config.yaml reads back as %+v, %v", back, err)
	}
	var made []string
	for _, path := range l.tree() {
		if rel, _ := filepath.Rel(l.root, path); !slices.Contains(before, path) && !strings.Contains(rel, string(filepath.Separator)) {
			made = append(made, rel)
		}
	}
	if !slices.Equal(made, []string{"cache", "run"}) {
		t.Errorf("a run made %v, want its directory and the reference cache", made)
	}
}

// TestBadInput: each is one clear line before anything has been written.
func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(l lab)
		words  []string
		want   string
	}{
		{"unknown key", nil, []string{"gradient_acumulation_steps=2"}, `unknown key "gradient_acumulation_steps", did you mean "gradient_accumulation_steps"?`},
		{"unknown key of a group", nil, []string{"model.fsdp_policy=bfloat16"}, `did you mean "model.fsdp_policy_mp"?`},
		{"wrong value", nil, []string{"model.fsdp_policy_mp=bf16"}, "model.fsdp_policy_mp=bf16: want one of float32, bfloat16, float16"},
		{"wrong number", nil, []string{"n_examples=1e3"}, "n_examples=1e3: want a whole number"},
		{"infinite rate", nil, []string{"lr=inf"}, "lr=+Inf: want a number of at least 0"},
		{"no such loss", nil, []string{"loss=simpo"}, "loss=simpo: no such preset, want one of dpo, ipo, sft"},
		{"batch not divisible", nil, []string{"gradient_accumulation_steps=3"}, "batch_size=8 does not divide into 3 microbatches × 2 ranks: want a multiple of 6"},
		{"batch not divisible by ranks", nil, []string{"devices=cpu:3", "eval_batch_size=9"}, "batch_size=8 does not divide into 1 microbatches × 3 ranks: want a multiple of 3"},
		{"evaluation batch not divisible", nil, []string{"eval_batch_size=7"}, "eval_batch_size=7 does not divide over 2 ranks"},
		{"missing block class", nil, []string{"model.block_name=GPTNeoXLayer"}, `model.block_name: nn: no block of class "GPTNeoXLayer" in this model, which has LlamaForCausalLM, `},
		{"no such device", nil, []string{"trainer=BasicTrainer", "devices=cuda:0"}, "no backend for cuda:0"},

		{"no model directory", nil, []string{"model.name_or_path=EleutherAI/pythia-2.8b"}, "model.name_or_path=EleutherAI/pythia-2.8b: no such directory; give a local Hugging Face model directory"},
		{"a file for a model", nil, []string{"model.name_or_path=start_test.go"}, "model.name_or_path=start_test.go: no such directory"},
		{"no tokenizer directory", nil, []string{"model.tokenizer_name_or_path=gpt2"}, "model.tokenizer_name_or_path=gpt2: no such directory"},
		{"no archive", nil, []string{"model.archive=sft/LATEST"}, "model.archive=sft/LATEST: no such directory"},
		{"an archive without a checkpoint", nil, []string{"model.archive=."}, "neither a checkpoint directory nor a run with LATEST in it"},
		{"nothing to resume", nil, []string{"resume=x/step-8"}, "resume=x/step-8: no such directory; give a checkpoint"},
		{"resuming from a model", nil, []string{"resume=../train/testdata/llama"}, "resume: ../train/testdata/llama is no checkpoint of a training run"},

		{"no config.json", func(l lab) { l.remove("model/config.json") }, nil, "model/config.json: no such file"},
		{"broken config.json", func(l lab) { l.write("model/config.json", []byte(`{"model_type":`)) }, nil, "model/config.json"},
		{"unknown architecture", func(l lab) { l.replace("model/config.json", `"model_type": "llama"`, `"model_type": "mamba"`) }, nil, `"mamba"`},
		{"another width", func(l lab) { l.replace("model/config.json", `"intermediate_size": 40`, `"intermediate_size": 44`) }, nil, "of shape [40 24] where [44 24] is wanted"},
		{"no weights", func(l lab) { l.remove("model/model.safetensors") }, nil, "model.safetensors"},
		{"truncated weights", func(l lab) {
			l.write("model/model.safetensors", l.read(l.path("model/model.safetensors"))[:20000])
		}, nil, "model.safetensors"},
		{"NaN weights", func(l lab) { l.poison(math.NaN()) }, nil, "model.norm.weight: element 23 is NaN or infinite"},
		{"infinite weights", func(l lab) { l.poison(math.Inf(-1)) }, nil, "model.norm.weight: element 23 is NaN or infinite"},

		{"no tokenizer", func(l lab) { l.remove("model/tokenizer.json") }, nil, "tokenizer.json"},
		{"a tokenizer without merges", func(l lab) {
			l.edit("model/tokenizer.json", func(o map[string]any) { delete(o["model"].(map[string]any), "merges") })
		}, nil, "merges"},
		{"a tokenizer without end", func(l lab) {
			l.write("model/tokenizer_config.json", []byte("{}"))
			l.write("model/tokenizer.json", bytes.ReplaceAll(l.read(l.path("model/tokenizer.json")), []byte("<|endoftext|>"), []byte("<|start|>")))
		}, nil, "names no end-of-text token"},
		{"another model's tokenizer", func(l lab) {
			l.edit("model/tokenizer.json", func(o map[string]any) {
				end := o["added_tokens"].([]any)[0].(map[string]any)
				end["id"] = 600
				delete(o["model"].(map[string]any)["vocab"].(map[string]any), "<|endoftext|>")
			})
		}, nil, "end-of-text token <|endoftext|> has id 600, the model's vocabulary ends at 512"},

		{"no data", nil, []string{"hh.path=nowhere.jsonl"}, "hh.path=nowhere.jsonl: no such file or directory"},
		{"no path", nil, []string{"hh.path=null"}, "hh.path is required with datasets=[hh]"},
		{"no StackExchange path", nil, []string{"datasets=[se]"}, "se.path is required with datasets=[se]"},
		{"StackExchange has one split", nil, []string{"se.test_path=x.jsonl"}, "se.test_path=x.jsonl has no meaning here: the dataset has one split"},
		{"unknown dataset", nil, []string{"datasets=[hh,imdb]"}, `unknown dataset "imdb", want hh, shp, se or pairs`},
		{"no datasets", nil, []string{"datasets=[]"}, "datasets is empty, want for example [hh]"},
		{"empty dataset", func(l lab) { l.write("pairs.jsonl", nil) }, nil, "pairs.jsonl: no preference pairs for the train split"},
		{"blank dataset", func(l lab) { l.write("pairs.jsonl", []byte("\n  \n")) }, nil, "pairs.jsonl: no preference pairs for the train split"},
		{"folder without a split", func(l lab) {
			l.remove("pairs.jsonl")
			l.write("pairs.jsonl/validation.jsonl", []byte("{}"))
		}, nil, "no file train{.jsonl"},
		{"nothing to evaluate on", func(l lab) { l.write("empty.jsonl", nil) }, []string{"hh.test_path=LAB/empty.jsonl"}, "evaluation (n_eval_examples=0 does without): "},
		{"fewer pairs than a batch", nil, []string{"batch_size=40", "eval_batch_size=40"}, "want examples for a batch of 40 at least, got 36"},
		{"broken line", func(l lab) {
			l.write("pairs.jsonl", append(l.read(l.path("pairs.jsonl")), `{"chosen": "no end`...))
		}, nil, "pairs.jsonl:37: not JSON"},
		{"a row without its field", func(l lab) {
			l.write("pairs.jsonl", []byte(`{"chosen":"\n\nHuman: a\n\nAssistant: b"}`))
		}, nil, "pairs.jsonl:1: "},

		{"a file for a run directory", func(l lab) { l.write("run", nil) }, nil, "config: run directory: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			if c.damage != nil {
				c.damage(l)
			}
			words := l.words(c.words...)
			for i, w := range words {
				words[i] = strings.ReplaceAll(w, "LAB", l.root)
			}
			before := l.tree()
			_, err := l.start(words, nil)
			if err == nil {
				t.Fatalf("started, want %q", c.want)
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v\nwant %q on one line", err, c.want)
			}
			if after := l.tree(); !slices.Equal(after, before) {
				t.Errorf("written before the configuration was known to be good: %v", after)
			}
		})
	}
}

// TestStackExchange trains on a dataset whose evaluation pairs come out of the
// one file there is, or does without them.
func TestStackExchange(t *testing.T) {
	l := newLab(t)
	var rows bytes.Buffer
	for i := range 120 {
		fmt.Fprintf(&rows, `{"question":"<p>what is %d?</p>","answers":[{"text":"one","pm_score":%d},{"text":"two","pm_score":3}]}`+"\n", i, i%7)
	}
	l.write("se.jsonl", rows.Bytes())
	r, err := l.start(l.words("datasets=[se]", "se.path="+l.path("se.jsonl")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Train.Total() != 112 || len(r.Eval) != 1 {
		t.Errorf("%d pairs to train and %d to evaluate on, want 112 and 1", r.Train.Total(), len(r.Eval))
	}
	few := bytes.Join(bytes.SplitAfter(rows.Bytes(), []byte("\n"))[:40], nil)
	l.write("se.jsonl", few)
	words := l.words("datasets=[se]", "se.path="+l.path("se.jsonl"))
	if _, err := l.start(words, nil); err == nil || !strings.Contains(err.Error(), "no preference pairs for the test split") {
		t.Errorf("too few rows to evaluate on: %v", err)
	}
	if _, err := l.start(append(words, "n_eval_examples=0"), nil); err != nil {
		t.Errorf("without evaluation: %v", err)
	}
}

// TestWhatMayGoWrongIsSaid but does not keep a run from starting.
func TestWhatMayGoWrongIsSaid(t *testing.T) {
	l := newLab(t)
	l.edit("model/tokenizer.json", func(o map[string]any) {
		pad := map[string]any{"id": 512, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
		o["added_tokens"] = append(o["added_tokens"].([]any), pad)
	})
	var lines []string
	if _, err := l.start(l.words("max_length=512"), func(line string) { lines = append(lines, line) }); err != nil {
		t.Fatal(err)
	}
	log := strings.Join(lines, "\n")
	for _, want := range []string{"the tokenizer has 513 tokens, the model's vocabulary 512", "max_length=512 is more than the model's 128 positions", "hh: 36 rows, 36 pairs", "writing to " + l.path("run")} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

// TestReferenceCacheFollowsItsInputs: each of weights, tokenizer, type and
// truncation gets an artifact of its own, and the same again none.
func TestReferenceCacheFollowsItsInputs(t *testing.T) {
	l := newLab(t)
	artifacts := func(words ...string) int {
		t.Helper()
		if _, err := l.start(l.words(words...), nil); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(l.path("cache"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return len(entries)
	}
	for i, c := range []struct {
		what   string
		change func() int
		want   int
	}{
		{"supervised fine-tuning", func() int { return artifacts("loss=sft", "loss.beta=null") }, 0},
		{"no cache", func() int { return artifacts("reference_cache=false") }, 0},
		{"a first run", func() int { return artifacts() }, 1},
		{"another beta, loss and batch size", func() int { return artifacts("loss=ipo", "loss.beta=0.5", "batch_size=4", "devices=cpu:1") }, 1},
		{"another type", func() int { return artifacts("model.reference_dtype=bfloat16") }, 2},
		{"another truncation", func() int { return artifacts("max_prompt_length=21") }, 3},
		{"one weight changed", func() int { l.poison(0.125); return artifacts() }, 4},
		{"another configuration", func() int {
			l.replace("model/config.json", `"rope_theta": 10000.0`, `"rope_theta": 20000.0`)
			return artifacts()
		}, 5},
		{"another tokenizer", func() int {
			l.edit("model/tokenizer.json", func(o map[string]any) {
				m := o["model"].(map[string]any)
				m["merges"] = m["merges"].([]any)[:200]
			})
			return artifacts()
		}, 6},
		{"the same again", func() int { return artifacts() }, 6},
	} {
		if got := c.change(); got != c.want {
			t.Errorf("%d, %s: %d artifacts, want %d", i, c.what, got, c.want)
		}
	}
}
