package models

import (
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"dpolab/kernels/dtype"
	"dpolab/runtime/nn"
	"dpolab/runtime/safetensors"
	"dpolab/runtime/tensor"
)

// Gather returns a tensor with all rows of a parameter's master copy. For a
// sharded model it is a collective that every rank calls in the same order.
type Gather func(p *nn.Parameter) *tensor.Tensor

// Whole is the Gather of a model that is not sharded.
func Whole(p *nn.Parameter) *tensor.Tensor { return p.Master() }

// SaveInto writes m's config.json and model.safetensors into an existing
// directory, in type dt, in transformers' layout: tied heads are left out.
// With write false nothing is written but the gathers take place, which is what
// the other ranks of a sharded model do.
func SaveInto(m CausalLM, dir string, dt dtype.DType, gather Gather, write bool) error {
	params := nn.NamedParameters(m)
	var w *safetensors.Writer
	if write {
		text, err := m.Config().Raw.text(dt)
		if err != nil {
			return fmt.Errorf("models: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
			return fmt.Errorf("models: %w", err)
		}
		if g := m.Config().Raw.generation; g != nil {
			if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), g, 0o644); err != nil {
				return fmt.Errorf("models: %w", err)
			}
		}
		infos := make([]safetensors.Info, len(params))
		for i, np := range params {
			infos[i] = safetensors.Info{Name: np.Name, DType: dt, Shape: np.Parameter.Shape()}
		}
		if w, err = safetensors.Create(filepath.Join(dir, "model.safetensors"), map[string]string{"format": "pt"}, infos); err != nil {
			return err
		}
	}
	for _, np := range params {
		data := gathered(np.Parameter, dt, gather, write)
		if !write {
			continue
		}
		if err := w.Write(np.Name, data); err != nil {
			w.Abort()
			return err
		}
	}
	if !write {
		return nil
	}
	return w.Close()
}

// gathered returns a parameter's bytes in type dt, nil unless wanted.
func gathered(p *nn.Parameter, dt dtype.DType, gather Gather, wanted bool) (data []byte) {
	dev := p.Master().Device()
	dev.NoGrad(func() {
		dev.Scope(func() *tensor.Tensor {
			full := gather(p)
			if !wanted || full.Len() == 0 {
				return nil
			}
			full = full.To(dt)
			words := make([]uint64, (full.Len()*dt.Size()+7)/8)
			data = unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), full.Len()*dt.Size())
			dev.Backend().Download(data, full.Array().Data)
			return nil
		})
	})
	return data
}

// Save writes a whole model to a directory that takes its name only when all
// of it is on disk; an older directory of that name is replaced.
func Save(m CausalLM, dir string, dt dtype.DType) error {
	return Atomically(dir, func(tmp string) error { return SaveInto(m, tmp, dt, Whole, true) })
}

// Atomically fills a new directory beside dir and then renames it to dir.
func Atomically(dir string, fill func(tmp string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("models: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*")
	if err != nil {
		return fmt.Errorf("models: %w", err)
	}
	err = fill(tmp)
	if err == nil {
		err = os.Chmod(tmp, 0o755)
	}
	old := tmp + ".old"
	if err == nil {
		if err = os.Rename(dir, old); os.IsNotExist(err) {
			old, err = "", nil
		}
	}
	if err == nil {
		err = os.Rename(tmp, dir)
	}
	if err != nil {
		os.RemoveAll(tmp)
		return fmt.Errorf("models: write %s: %w", dir, err)
	}
	if old != "" {
		os.RemoveAll(old)
	}
	return nil
}
