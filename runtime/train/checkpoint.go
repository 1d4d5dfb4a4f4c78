package train

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"dpolab/kernels/dtype"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/safetensors"
	"dpolab/runtime/tensor"
)

// A checkpoint is a Hugging Face model directory (config.json,
// model.safetensors in float32, the tokenizer's files) with two files more:
// optimizer.safetensors and trainer_state.json. It does not depend on the
// number of ranks, so a run may continue on another.

// state is trainer_state.json.
type state struct {
	Examples  int         `json:"examples"`
	Updates   int         `json:"updates"`
	Optimizer string      `json:"optimizer"`
	Steps     int         `json:"optimizer_steps"`
	LR        float64     `json:"lr"`
	Warmup    int         `json:"warmup_steps"`
	Seed      int         `json:"seed"`
	Data      data.State  `json:"data"`
	Scaler    scalerState `json:"loss_scaler"`
	Precision string      `json:"mixed_precision"`
	Evaluated bool        `json:"evaluated"` // the evaluation due at this point has been done
	History   []Record    `json:"history,omitempty"`
}

type scalerState struct {
	Scale   float64 `json:"scale"`
	Good    int     `json:"good_steps"`
	Skipped int     `json:"skipped_steps"`
}

const (
	stateFile     = "trainer_state.json"
	optimizerFile = "optimizer.safetensors"
)

func (t *Trainer) checkpointDir(name string) string { return filepath.Join(t.settings.RunDir, name) }

// save writes a checkpoint into the run directory; without one it does nothing.
func (t *Trainer) save(name string) error {
	if t.settings.RunDir == "" {
		return nil
	}
	dir := t.checkpointDir(name)
	t.log("creating checkpoint to write to %s", dir)
	return t.SaveTo(dir)
}

// SaveTo writes a checkpoint to dir, which appears when it is complete.
func (t *Trainer) SaveTo(dir string) error {
	return atomically(t.world, dir, func(tmp string) error {
		err := t.world.Run(func(r *distributed.Rank) error {
			rep := t.replicas[r.Rank]
			gather := func(p *nn.Parameter) *tensor.Tensor { return rep.sharded.FullTensor(p, p.Master()) }
			if err := models.SaveInto(rep.policy, tmp, dtype.Float32, gather, r.Rank == 0); err != nil {
				return err
			}
			return saveOptimizer(rep, filepath.Join(tmp, optimizerFile), r.Rank == 0)
		})
		if err != nil || !t.world.Leads() {
			return err
		}
		if t.tokenizer != nil {
			if err := t.tokenizer.Save(tmp); err != nil {
				return err
			}
		}
		now := t.state()
		now.History = t.history.Records
		text, err := json.MarshalIndent(now, "", " ")
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tmp, stateFile), append(text, '\n'), 0o644)
	})
}

// state is where the run stands, without its history.
func (t *Trainer) state() state {
	opt := t.own().optimizer
	return state{Examples: t.examples, Updates: t.updates, Optimizer: opt.Name(), Steps: opt.Steps(), LR: t.settings.LR,
		Warmup: t.settings.WarmupSteps, Seed: t.settings.Seed, Data: t.source.State(), Precision: t.settings.Sharding.MixedPrecision.String(),
		Scaler: scalerState{t.scaler.Scale, t.scaler.Good, t.scaler.Skipped}, Evaluated: t.evaluated == t.examples}
}

// saveOptimizer gathers and writes the optimizer's state; every rank calls it.
func saveOptimizer(rep *replica, path string, write bool) error {
	list := rep.optimizer.State()
	var w *safetensors.Writer
	if write {
		infos := make([]safetensors.Info, len(list))
		for i, s := range list {
			infos[i] = safetensors.Info{Name: s.Param + "/" + s.Kind, DType: s.Tensor.DType(), Shape: s.Parameter.Shape()}
		}
		var err error
		if w, err = safetensors.Create(path, nil, infos); err != nil {
			return err
		}
	}
	for _, s := range list {
		var data []byte
		full := rep.sharded.FullTensor(s.Parameter, s.Tensor).Keep()
		if write && full.Len() > 0 {
			words := make([]uint64, (full.Array().Bytes()+7)/8)
			data = unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), full.Array().Bytes())
			full.Device().Backend().Download(data, full.Array().Data)
		}
		full.Release()
		if !write {
			continue
		}
		if err := w.Write(s.Param+"/"+s.Kind, data); err != nil {
			w.Abort()
			return err
		}
	}
	if !write {
		return nil
	}
	return w.Close()
}

// Resume continues from a checkpoint whose weights the trainer was made with:
// optimizer, counters, loss scale, history and data position are restored.
func (t *Trainer) Resume(dir string) error {
	if t.session != nil {
		return fmt.Errorf("resume: the run lives in session %s and goes on by itself", t.session.Dir())
	}
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return fmt.Errorf("resume: %s is no checkpoint of a training run: %w", dir, err)
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("resume: %s: %w", filepath.Join(dir, stateFile), err)
	}
	if name := t.own().optimizer.Name(); s.Optimizer != name {
		return fmt.Errorf("resume: %s was trained with optimizer=%s, this run has %s", dir, s.Optimizer, name)
	}
	f, err := safetensors.Open(filepath.Join(dir, optimizerFile))
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	defer f.Close()
	if err := t.world.Run(func(r *distributed.Rank) error { return loadOptimizer(t.replicas[r.Rank], f) }); err != nil {
		return fmt.Errorf("resume: %s: %w", dir, err)
	}
	if err := t.restore(s); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	t.history.Records = s.History
	return nil
}

// restore takes counters, loss scale and data position from s.
func (t *Trainer) restore(s state) error {
	if err := t.source.Restore(s.Data); err != nil {
		return err
	}
	t.examples, t.updates = s.Examples, s.Updates
	for _, rep := range t.replicas {
		if rep != nil {
			rep.optimizer.SetSteps(s.Steps)
		}
	}
	t.scaler.Skipped = s.Scaler.Skipped
	// A scale found in another precision, above all the 1 of one that needs
	// none, says nothing here.
	if t.scaler.enabled && s.Precision == t.settings.Sharding.MixedPrecision.String() {
		t.scaler.Scale, t.scaler.Good = s.Scaler.Scale, s.Scaler.Good
	}
	if s.Evaluated {
		t.evaluated = s.Examples
	}
	return nil
}

func loadOptimizer(rep *replica, f *safetensors.File) error {
	params := map[string]*nn.Parameter{}
	for _, np := range nn.NamedParameters(rep.policy) {
		params[np.Name] = np.Parameter
	}
	for _, name := range f.Names() {
		at := len(name) - 1
		for at > 0 && name[at] != '/' {
			at--
		}
		info, data, err := f.Tensor(name)
		if err != nil {
			return err
		}
		rows, err := rep.optimizer.Restore(name[:at], name[at+1:])
		if err != nil {
			return err
		}
		if info.DType != rows.DType() {
			return fmt.Errorf("state %s has type %s, want %s", name, info.DType, rows.DType())
		}
		if err := fsdp.LoadRows(params[name[:at]], rows, data); err != nil {
			return fmt.Errorf("state %s: %w", name, err)
		}
	}
	return nil
}
