package config

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"dpolab/kernels"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/distributed/rendezvous"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/tokenizer"
	"dpolab/runtime/train"
)

// Run is an experiment made ready: the ranks, the data and the trainer.
type Run struct {
	Experiment Experiment
	Dir        string
	World      *distributed.World
	Tokenizer  *tokenizer.Tokenizer
	Train      *data.Iterator
	Eval       []data.Example
	Trainer    *train.Trainer
	cache      *train.ReferenceCache
	place      rendezvous.Place // of this process
	inJob      bool             // with others
}

// Start validates the experiment, reads its data and loads its policy. Only
// when all of that has succeeded is anything written: the run directory and the
// reference cache. The caller closes the Run.
//
// In a job of several processes all call it, and ctx ends the wait for the
// others; the first process alone logs and writes.
func (e Experiment) Start(ctx context.Context, events train.Events) (*Run, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	r := &Run{Experiment: e}
	if err := r.start(ctx, events); err != nil {
		if r.World != nil {
			r.World.Fail(err)
		}
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Run) start(ctx context.Context, events train.Events) (err error) {
	e := &r.Experiment
	if r.place, r.inJob, err = rendezvous.FromEnvironment(os.Getenv); err != nil {
		return err
	}
	logf := func(format string, args ...any) {
		if events.Log != nil && r.place.Rank == 0 {
			events.Log(fmt.Sprintf(format, args...))
		}
	}
	weights := e.Model.NameOrPath
	if e.Model.Archive != "" {
		if weights, err = archiveDir(e.Model.Archive); err != nil {
			return err
		}
	}
	tokenizerDir := e.Model.TokenizerNameOrPath
	if tokenizerDir == "" {
		tokenizerDir = e.Model.NameOrPath
	}
	if r.Tokenizer, err = tokenizer.Load(tokenizerDir); err != nil {
		return err
	}
	if r.Tokenizer.EOS() < 0 {
		return fmt.Errorf("config: the tokenizer in %s names no end-of-text token", tokenizerDir)
	}
	if err := r.loadData(logf); err != nil {
		return err
	}
	kernels.AllowTF32(e.TF32)
	if err := r.openWorld(ctx, logf); err != nil {
		return err
	}
	if r.Dir, err = e.chooseDir(); err != nil {
		return err
	}
	if err := r.shareDir(); err != nil {
		return err
	}
	policy := weights
	if e.Resume != "" {
		policy = e.Resume
	}
	inputs := train.Inputs{PolicyDir: policy, ReferenceDir: weights, Source: r.Train, Eval: r.Eval, Total: r.Train.Total(),
		Tokenizer: r.Tokenizer, Samples: e.samples()}
	if r.Trainer, err = train.New(r.World, e.settings(r.Dir), inputs, events); err != nil {
		return err
	}
	if err := r.checkTokens(logf); err != nil {
		return err
	}
	if e.Resume != "" {
		if err := r.Trainer.Resume(e.Resume); err != nil {
			return err
		}
		logf("resumed from %s after %d examples", e.Resume, r.Trainer.Examples())
	}
	if err := r.World.Lead("run directory", func() error { return e.makeDir(r.Dir) }); err != nil {
		return err
	}
	logf("writing to %s", r.Dir)
	if e.ReferenceCache && e.Loss.Name != "sft" {
		if err := r.openCache(weights); err != nil {
			return err
		}
		r.Trainer.UseCache(r.cache)
	}
	return nil
}

// checkTokens compares the tokenizer and the lengths with the model. What some
// text might run into is only said, as it may never come.
func (r *Run) checkTokens(logf func(string, ...any)) error {
	e, c, tok := &r.Experiment, r.Trainer.Policy(r.World.First()).Config(), r.Tokenizer
	if int(tok.EOS()) >= c.VocabSize {
		return fmt.Errorf("config: the tokenizer's end-of-text token %s has id %d, the model's vocabulary ends at %d: do they belong together?", tok.EOSToken(), tok.EOS(), c.VocabSize)
	}
	if tok.VocabSize() > c.VocabSize {
		logf("the tokenizer has %d tokens, the model's vocabulary %d: text with one of the others stops the run", tok.VocabSize(), c.VocabSize)
	}
	if e.MaxLength > c.MaxPositions {
		logf("max_length=%d is more than the model's %d positions: an example that is longer stops the run", e.MaxLength, c.MaxPositions)
	}
	return nil
}

// samples is how many prompts each evaluation samples for.
func (e *Experiment) samples() int {
	if !e.SampleDuringEval {
		return 0
	}
	return e.NEvalModelSamples
}

// archiveDir finds the checkpoint that model.archive names: a checkpoint
// directory, or a run directory with a LATEST checkpoint in it.
func archiveDir(path string) (string, error) {
	for _, dir := range []string{path, filepath.Join(path, "LATEST")} {
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("config: model.archive=%s: neither a checkpoint directory nor a run with LATEST in it", path)
}

// loadData reads both splits and tokenises the evaluation examples.
func (r *Run) loadData(logf func(string, ...any)) error {
	e := &r.Experiment
	tok := data.Tokenizer{Encode: func(s string) []int32 { return r.Tokenizer.Encode(s, false) }, EOS: r.Tokenizer.EOS(), EOSText: r.Tokenizer.EOSToken()}
	var trains, tests []*data.Dataset
	for _, name := range e.Datasets {
		s, err := e.Source(name)
		if err != nil {
			return err
		}
		set, err := data.Load(name, s.Path, data.Train)
		if err != nil {
			return err
		}
		logf("%s: %s", name, set.Report)
		trains = append(trains, set)
		if e.NEvalExamples == 0 {
			continue
		}
		if set, err = data.Load(name, cmp.Or(s.TestPath, s.Path), data.Test); err != nil {
			return fmt.Errorf("evaluation (n_eval_examples=0 does without): %w", err)
		}
		tests = append(tests, set)
	}
	options := data.Options{BatchSize: e.BatchSize, Limits: data.Limits{MaxLength: e.MaxLength, MaxPromptLength: e.MaxPromptLength},
		SFT: e.Loss.Name == "sft", Shuffle: true, DropLast: e.DropLast}
	if e.NEpochs != nil {
		options.Epochs = *e.NEpochs
	}
	if e.NExamples != nil {
		options.Examples = *e.NExamples
	}
	var err error
	if r.Train, err = data.NewIterator(trains, tok, options); err != nil {
		return err
	}
	if e.NEvalExamples == 0 {
		return nil
	}
	options.Epochs, options.Examples, options.BatchSize, options.DropLast = 1, e.NEvalExamples, e.EvalBatchSize, false
	it, err := data.NewIterator(tests, tok, options)
	if err != nil {
		return fmt.Errorf("evaluation: %w", err)
	}
	for {
		batch, err := it.Next()
		if err != nil {
			return err
		}
		if batch == nil {
			break
		}
		r.Eval = append(r.Eval, batch...)
	}
	logf("%d evaluation examples", len(r.Eval))
	return nil
}

// chooseDir names this run's directory, and keeps the name in the
// configuration.
func (e *Experiment) chooseDir() (string, error) {
	if e.LocalRunDir != "" {
		return e.LocalRunDir, nil
	}
	root := ""
	for _, d := range e.LocalDirs {
		if _, err := os.Stat(d); err == nil {
			root = d
			break
		}
	}
	if root == "" {
		if len(e.LocalDirs) == 0 {
			return "", fmt.Errorf("config: local_dirs is empty, and local_run_dir is not set")
		}
		root = e.LocalDirs[len(e.LocalDirs)-1]
	}
	who := "run"
	if u, err := user.Current(); err == nil {
		who = filepath.Base(u.Username)
	}
	stamp := strings.ReplaceAll(time.Now().Format("2006-01-02_15-04-05.000000"), ".", "_")
	e.LocalRunDir = filepath.Join(root, who, e.ExpName+"_"+stamp)
	return e.LocalRunDir, nil
}

// makeDir makes the run directory, with the configuration in it.
func (e *Experiment) makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("config: run directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), e.YAML(), 0o644); err != nil {
		return fmt.Errorf("config: run directory: %w", err)
	}
	return nil
}

// openCache opens the artifact of this reference's log-probabilities.
func (r *Run) openCache(weights string) (err error) {
	e := &r.Experiment
	root := e.ReferenceCacheDir
	if !r.World.Leads() { // which is asked by the others
		r.cache, err = train.OpenReferenceCache("", train.ReferenceName{})
		return err
	}
	if root == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("config: reference_cache_dir: %w", err)
		}
		root = filepath.Join(base, "dpolab", "reference")
	}
	hash, err := hashWeights(weights)
	if err != nil {
		return err
	}
	r.cache, err = train.OpenReferenceCache(root, train.ReferenceName{Weights: hash, Tokenizer: r.Tokenizer.Hash(),
		DType: e.Model.ReferenceDType, Truncation: fmt.Sprintf("%d/%d", e.MaxLength, e.MaxPromptLength)})
	return err
}

// hashWeights names a checkpoint by the content of its configuration and
// weight files.
func hashWeights(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "model*.safetensors"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("config: %s: no model.safetensors in it", dir)
	}
	files = append(files, filepath.Join(dir, "config.json"))
	sort.Strings(files)
	h := sha256.New()
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("config: %w", err)
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", fmt.Errorf("config: %s: %w", path, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// settings translates the keys for the trainer.
func (e *Experiment) settings(dir string) train.Settings {
	strategy, _ := fsdp.ParseStrategy(e.ShardingStrategy) // the key's choices are its names
	s := train.Settings{
		Loss: e.Preference(), BatchSize: e.BatchSize, EvalBatchSize: e.EvalBatchSize, GradientAccumulationSteps: e.GradientAccumulationSteps,
		MaxGradNorm: float64(e.MaxGradNorm), Optimizer: e.Optimizer, LR: float64(e.LR), WarmupSteps: e.WarmupSteps,
		EvalEvery: max(e.EvalEvery-e.EvalEvery%e.BatchSize, e.BatchSize), DoFirstEval: e.DoFirstEval, CheckpointAtEval: !e.Debug,
		LogInterval: float64(e.MinimumLogInterval), ReferenceDType: mustDType(e.Model.ReferenceDType), RunDir: dir, MaxLength: e.MaxLength, Seed: e.Seed,
		Sharding: fsdp.Config{BlockName: e.Model.BlockName, Strategy: strategy, ShardSize: e.ShardSize, MixedPrecision: e.MixedPrecision(),
			CPUOffload: e.CPUOffload, ActivationCheckpointing: e.ActivationCheckpointing},
	}
	if e.Trainer == "BasicTrainer" {
		s.Sharding = fsdp.Config{Strategy: fsdp.NoShard, MixedPrecision: e.MixedPrecision()}
	}
	return s
}

// Preference returns the loss that loss.* describes, nil for SFT.
func (e *Experiment) Preference() loss.PreferenceLoss {
	l := e.Loss
	switch {
	case l.Name == "sft":
		return nil
	case l.Name == "ipo" && l.AverageLogProb:
		return loss.AveragedIPO(float64(*l.Beta))
	case l.Name == "ipo":
		return loss.IPO(float64(*l.Beta))
	case l.ReferenceFree:
		return loss.ReferenceFree(float64(*l.Beta), float64(l.LabelSmoothing))
	}
	return loss.DPO(float64(*l.Beta), float64(l.LabelSmoothing))
}

// Close frees the ranks and closes the cache.
func (r *Run) Close() {
	if r.cache != nil {
		r.cache.Close()
	}
	if r.World != nil {
		r.World.Close()
	}
}
