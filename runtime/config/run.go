package config

import (
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

	"dpolab/kernels/device"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
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
}

// Start validates the experiment, reads its data, makes its run directory and
// loads its policy. The caller closes the Run.
func (e Experiment) Start(events train.Events) (*Run, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	r := &Run{Experiment: e}
	if err := r.start(events); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Run) start(events train.Events) (err error) {
	e := &r.Experiment
	logf := func(format string, args ...any) {
		if events.Log != nil {
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
	if r.Dir, err = e.runDir(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "config.yaml"), e.YAML(), 0o644); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	logf("writing to %s", r.Dir)
	devices, err := device.ParseList(e.Devices)
	if err != nil {
		return err
	}
	if r.World, err = distributed.NewWorld(devices, e.Threads); err != nil {
		return err
	}
	if e.ReferenceCache && e.Loss.Name != "sft" {
		if err := r.openCache(weights); err != nil {
			return err
		}
	}
	policy := weights
	if e.Resume != "" {
		policy = e.Resume
	}
	inputs := train.Inputs{PolicyDir: policy, ReferenceDir: weights, Source: r.Train, Eval: r.Eval, Total: r.Train.Total(),
		Cache: r.cache, Tokenizer: r.Tokenizer, Samples: e.samples()}
	if r.Trainer, err = train.New(r.World, e.settings(r.Dir), inputs, events); err != nil {
		return err
	}
	if e.Resume != "" {
		if err := r.Trainer.Resume(e.Resume); err != nil {
			return err
		}
		logf("resumed from %s after %d examples", e.Resume, r.Trainer.Examples())
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
		test := s.TestPath
		if test == "" {
			test = s.Path
		}
		if set, err = data.Load(name, test, data.Test); err != nil {
			return err
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

// runDir makes this run's directory.
func (e *Experiment) runDir() (string, error) {
	dir := e.LocalRunDir
	if dir == "" {
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
		dir = filepath.Join(root, who, e.ExpName+"_"+stamp)
		e.LocalRunDir = dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("config: run directory: %w", err)
	}
	return dir, nil
}

// openCache opens the artifact of this reference's log-probabilities.
func (r *Run) openCache(weights string) error {
	e := &r.Experiment
	root := e.ReferenceCacheDir
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
			ActivationCheckpointing: e.ActivationCheckpointing},
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
