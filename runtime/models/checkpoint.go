package models

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"unsafe"

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
	file   *safetensors.File
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
	for _, np := range nn.NamedParameters(m) {
		info, data, err := c.file.Tensor(names[np.Name])
		if err != nil {
			return err
		}
		if err := load(dev, np, info, data); err != nil {
			return fmt.Errorf("models: %s: %w", c.Dir, err)
		}
	}
	return nil
}

// resolve finds the tensor of every parameter, and reports all that do not fit.
func (c *Checkpoint) resolve(m CausalLM) (map[string]string, error) {
	layout := m.Layout()
	names, used := map[string]string{}, map[string]bool{}
	var missing, wrong []string
	known := map[string]bool{}
	aliases := map[*nn.Parameter][]string{}
	for _, np := range nn.AllNames(m) {
		aliases[np.Parameter] = append(aliases[np.Parameter], np.Name)
		known[np.Name] = true
	}
	for _, np := range nn.NamedParameters(m) {
		found := ""
		for _, name := range aliases[np.Parameter] {
			short, _ := layout.withoutPrefix(name)
			for _, candidate := range []string{name, short} {
				if _, ok := c.file.Info(candidate); ok && found == "" {
					found = candidate
				}
			}
		}
		if found == "" {
			missing = append(missing, np.Name)
			continue
		}
		info, _ := c.file.Info(found)
		if want := np.Parameter.Shape(); fmt.Sprint(want) != fmt.Sprint(info.Shape) {
			wrong = append(wrong, fmt.Sprintf("%s has shape %v, want %v", found, info.Shape, want))
		}
		names[np.Name], used[found] = found, true
	}
	var unexpected []string
	for _, name := range c.file.Names() {
		// A tied head may be saved all the same.
		tied := m.Config().TieWordEmbeddings && (strings.HasSuffix(name, "lm_head.weight") || strings.HasSuffix(name, "embed_out.weight"))
		if !used[name] && !layout.ignores(name) && !tied {
			unexpected = append(unexpected, name)
		}
	}
	for what, list := range map[string][]string{"misses": missing, "has unexpected": unexpected} {
		if len(list) > 0 {
			sort.Strings(list)
			more := ""
			if len(list) > 4 {
				more = fmt.Sprintf(" and %d more", len(list)-4)
				list = list[:4]
			}
			return nil, fmt.Errorf("models: %s %s %s%s", c.Dir, what, strings.Join(list, ", "), more)
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("models: %s: %s", c.Dir, strings.Join(wrong, "; "))
	}
	return names, nil
}

// load fills a parameter's rows from a tensor's bytes.
func load(dev *tensor.Device, np nn.NamedParameter, info safetensors.Info, data []byte) error {
	p := np.Parameter
	master, size := p.Master(), info.DType.Size()
	rows := data[p.RowStart*p.RowLen()*size : p.RowEnd*p.RowLen()*size]
	if at, ok := firstNotFinite(rows, info.DType); ok {
		return fmt.Errorf("tensor %s: element %d is not finite", info.Name, p.RowStart*p.RowLen()+at)
	}
	be := dev.Backend()
	if info.DType == master.DType() {
		be.Upload(master.Array().Data, rows)
	} else {
		dev.Scope(func() *tensor.Tensor {
			staged := tensor.Empty(dev, info.DType, master.Shape()...)
			be.Upload(staged.Array().Data, rows)
			be.Copy(master.Array(), staged.Array())
			return nil
		})
	}
	master.Touch()
	return nil
}

// firstNotFinite finds a NaN or an infinity.
func firstNotFinite(data []byte, dt dtype.DType) (int, bool) {
	n := len(data) / dt.Size()
	if n == 0 {
		return 0, false
	}
	p := unsafe.Pointer(&data[0])
	switch dt {
	case dtype.Float32:
		for i, v := range unsafe.Slice((*uint32)(p), n) {
			if v&0x7f800000 == 0x7f800000 {
				return i, true
			}
		}
	case dtype.BFloat16:
		for i, v := range unsafe.Slice((*uint16)(p), n) {
			if v&0x7f80 == 0x7f80 {
				return i, true
			}
		}
	case dtype.Float16:
		for i, v := range unsafe.Slice((*uint16)(p), n) {
			if v&0x7c00 == 0x7c00 {
				return i, true
			}
		}
	case dtype.Float64:
		for i, v := range unsafe.Slice((*float64)(p), n) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return i, true
			}
		}
	}
	return 0, false
}

// Load reads a whole model onto a device, with weights in type dt.
func Load(dir string, dev *tensor.Device, dt dtype.DType) (CausalLM, error) {
	c, err := Open(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	m, err := c.Build()
	if err != nil {
		return nil, err
	}
	if err := tensor.Try(func() { nn.Materialize(m, dev, dt) }); err != nil {
		return nil, err
	}
	return m, c.LoadInto(m, dev)
}
