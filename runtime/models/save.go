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

// MaxShardBytes is the size above which saved weights are split into several
// files.
const MaxShardBytes = 5_000_000_000

// Gather returns a tensor with all rows of a parameter's master copy. For a
// sharded model it is a collective that every rank calls in the same order.
type Gather func(p *nn.Parameter) *tensor.Tensor

// Whole is the Gather of a model that is not sharded.
func Whole(p *nn.Parameter) *tensor.Tensor { return p.Master() }

// SaveInto writes m's config.json and weights into an existing directory, in
// type dt (dtype.Invalid: the one the configuration names), in transformers'
// layout: tied heads are left out, and weights beyond MaxShardBytes go to
// several files with an index. With write false nothing is written but the
// gathers take place, which is what the other ranks of a sharded model do.
func SaveInto(m CausalLM, dir string, dt dtype.DType, gather Gather, write bool) error {
	return saveInto(m, dir, dt, gather, write, MaxShardBytes)
}

func saveInto(m CausalLM, dir string, dt dtype.DType, gather Gather, write bool, maxShardBytes int64) error {
	raw := m.Config().Raw
	if dt == dtype.Invalid {
		var err error
		if dt, err = raw.DType(); err != nil {
			return err
		}
	}
	params := nn.NamedParameters(m)
	if !write {
		for _, np := range params {
			gathered(np.Parameter, dt, gather, false)
		}
		return nil
	}
	byName := map[string]*nn.Parameter{}
	infos := make([]safetensors.Info, len(params))
	for i, np := range params {
		byName[np.Name] = np.Parameter
		infos[i] = safetensors.Info{Name: np.Name, DType: dt, Shape: np.Parameter.Shape()}
	}
	if err := raw.write(dir, dt); err != nil {
		return err
	}
	return safetensors.WriteDir(dir, map[string]string{"format": "pt"}, infos, maxShardBytes, func(name string) ([]byte, error) {
		return gathered(byName[name], dt, gather, true), nil
	})
}

// write writes config.json, for weights saved in dt, and
// generation_config.json if the model came with one.
func (c RawConfig) write(dir string, dt dtype.DType) error {
	text, err := c.text(dt)
	if err != nil {
		return fmt.Errorf("models: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		return fmt.Errorf("models: %w", err)
	}
	if c.generation == nil {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), c.generation, 0o644); err != nil {
		return fmt.Errorf("models: %w", err)
	}
	return nil
}

// gathered returns a parameter's bytes in type dt, nil unless wanted.
func gathered(p *nn.Parameter, dt dtype.DType, gather Gather, wanted bool) (data []byte) {
	home := p.Master().Device()
	home.NoGrad(func() {
		home.Scope(func() *tensor.Tensor {
			full := gather(p)
			dev := full.Device()
			if dev != home { // the masters are on the host, and the scope does not see it
				defer full.Release()
			}
			if !wanted || full.Len() == 0 {
				return nil
			}
			dev.NoGrad(func() {
				dev.Scope(func() *tensor.Tensor { data = bytesOf(full.To(dt)); return nil })
			})
			return nil
		})
	})
	return data
}

// bytesOf downloads a tensor.
func bytesOf(t *tensor.Tensor) []byte {
	words := make([]uint64, (t.Array().Bytes()+7)/8)
	data := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), t.Array().Bytes())
	t.Device().Backend().Download(data, t.Array().Data)
	return data
}

// Save writes a whole model to a directory that takes its name only when all
// of it is on disk; an older directory of that name is replaced. dt is as for
// SaveInto.
func Save(m CausalLM, dir string, dt dtype.DType) error {
	return Atomically(dir, func(tmp string) error { return SaveInto(m, tmp, dt, Whole, true) })
}

// Atomically fills a new directory beside dir, brings it to disk and renames it
// to dir. An older directory of that name is moved aside first and deleted
// last; if anything fails, it is in place again.
func Atomically(dir string, fill func(tmp string) error) error {
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("models: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*")
	if err != nil {
		return fmt.Errorf("models: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return fmt.Errorf("models: write %s: %w", dir, err)
	}
	if err := publish(tmp, dir); err != nil {
		return fmt.Errorf("models: write %s: %w", dir, err)
	}
	return nil
}

// publish brings tmp's files to disk and puts it in the place of dir.
func publish(tmp, dir string) error {
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := toDisk(filepath.Join(tmp, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	old := tmp + ".old"
	switch err := os.Rename(dir, old); {
	case os.IsNotExist(err):
		old = ""
	case err != nil:
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if old != "" {
			os.Rename(old, dir)
		}
		return err
	}
	if old != "" {
		return os.RemoveAll(old)
	}
	return nil
}

// toDisk waits until a file's contents are on disk.
func toDisk(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
