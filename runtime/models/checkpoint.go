package models

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"dpolab/kernels/dtype"
	"dpolab/runtime/nn"
	"dpolab/runtime/safetensors"
	"dpolab/runtime/tensor"
)

// Checkpoint is a Hugging Face model directory: config.json and safetensors,
// mapped but not read yet.
type Checkpoint struct {
	Dir    string
	Config RawConfig
	// AllowNonFinite lets LoadInto take NaN and infinite weights, to look at
	// a model that diverged.
	AllowNonFinite bool
	file           *safetensors.File
}

// Open reads a directory's configuration and the headers of its weights.
func Open(dir string) (*Checkpoint, error) {
	cfg, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	f, err := safetensors.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	return &Checkpoint{Dir: dir, Config: cfg, file: f}, nil
}

// Close unmaps the weights.
func (c *Checkpoint) Close() error { return c.file.Close() }

// Build returns the model on meta.
func (c *Checkpoint) Build() (CausalLM, error) { return New(c.Config) }

// LoadInto fills this rank's rows of every parameter of m, whole or sharded,
// converting to the type of the master copy. Only those rows are read.
// Tensors that are missing, unexpected, of another shape or not finite are
// errors.
func (c *Checkpoint) LoadInto(m CausalLM, dev *tensor.Device) error {
	names, err := c.resolve(m)
	if err != nil {
		return err
	}
	var list []stored
	for _, np := range nn.NamedParameters(m) {
		info, data, err := c.file.Tensor(names[np.Name])
		if err != nil {
			return err
		}
		list = append(list, rowsOf(np.Parameter, info, data))
	}
	checked, stop := c.checkAhead(list)
	defer stop()
	for _, t := range list {
		if err := t.load(dev, checked); err != nil {
			return fmt.Errorf("models: %s: tensor %s: %w", c.Dir, t.info.Name, err)
		}
	}
	return nil
}

// resolve finds the tensor of every parameter by its path, and reports all that
// do not fit.
func (c *Checkpoint) resolve(m CausalLM) (map[string]string, error) {
	layout := m.Layout()
	names, used := map[string]string{}, map[string]bool{}
	var missing, unexpected, wrong []string
	for _, np := range nn.NamedParameters(m) {
		found := c.find(layout, np.Name)
		if found == "" {
			missing = append(missing, np.Name)
			continue
		}
		names[np.Name], used[found] = found, true
		info, _ := c.file.Info(found)
		if want := np.Parameter.Shape(); !slices.Equal(want, info.Shape) {
			wrong = append(wrong, fmt.Sprintf("%s of shape %v where %v is wanted", found, info.Shape, want))
		} else if !info.DType.IsFloat() {
			wrong = append(wrong, fmt.Sprintf("%s of type %s where floats are wanted", found, info.Type))
		}
	}
	tied := m.Config().TieWordEmbeddings
	for _, name := range c.file.Names() {
		if !used[name] && !layout.ignores(name) && !(tied && name == layout.Head) {
			unexpected = append(unexpected, name)
		}
	}
	var problems []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"lacks", missing}, {"has unexpected", unexpected}, {"has", wrong}} {
		if len(p.names) > 0 {
			problems = append(problems, p.what+" "+enumerate(p.names))
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("models: %s does not fit its config.json: it %s", c.Dir, strings.Join(problems, "; it "))
	}
	if tied {
		return names, c.checkTied(layout)
	}
	return names, nil
}

// find returns the name under which the file has a parameter, "" if it has
// none: the model's own name, or the bare base model's.
func (c *Checkpoint) find(layout Layout, name string) string {
	candidates := []string{name}
	if short, ok := strings.CutPrefix(name, layout.Prefix); ok {
		candidates = append(candidates, short)
	}
	for _, candidate := range candidates {
		if _, ok := c.file.Info(candidate); ok {
			return candidate
		}
	}
	return ""
}

// checkTied makes sure that a tied head that is stored all the same says
// nothing else than the embedding.
func (c *Checkpoint) checkTied(layout Layout) error {
	if _, stored := c.file.Info(layout.Head); !stored {
		return nil
	}
	embedding := c.find(layout, layout.Embedding)
	_, a, err := c.file.Tensor(layout.Head)
	if err != nil {
		return err
	}
	_, b, err := c.file.Tensor(embedding)
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("models: %s: tie_word_embeddings is true, but %s differs from %s", c.Dir, layout.Head, embedding)
	}
	return nil
}

// enumerate joins names, the first few of many.
func enumerate(names []string) string {
	const most = 8
	sort.Strings(names)
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}

// Load reads a whole model onto a device, with weights in type dt;
// dtype.Invalid takes the type that the configuration names, float32 if none.
func Load(dir string, dev *tensor.Device, dt dtype.DType) (CausalLM, error) {
	c, err := Open(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if dt == dtype.Invalid {
		if dt, err = c.Config.DType(); err != nil {
			return nil, err
		}
	}
	m, err := c.Build()
	if err != nil {
		return nil, err
	}
	err = tensor.Try(func() { nn.Materialize(m, dev, dt) })
	if err == nil {
		err = c.LoadInto(m, dev)
	}
	if err != nil {
		nn.Release(m)
		return nil, err
	}
	return m, nil
}
