package fsdp_test

import (
	"fmt"
	"math"
	"testing"

	_ "dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// The sizes of the test model are awkward on purpose: the hidden width of 3
// and the single row of the score leave ranks without rows.
const (
	vocabulary, width, hidden = 11, 8, 3
	batch                     = 12 // rows, over all ranks
	class                     = "TestBlock"
)

// block is x + down(silu(up(x))).
type block struct {
	nn.Unit
	up, down *nn.Linear
	inside   func(b *block, x *tensor.Tensor) *tensor.Tensor // called in forward, if set
}

func newBlock(d, h int) *block {
	b := &block{Unit: nn.NewUnit(class), up: nn.NewLinear(d, h, true), down: nn.NewLinear(h, d, true)}
	b.AddChild("up", b.up)
	b.AddChild("down", b.down)
	return b
}

func (b *block) forward(x *tensor.Tensor) *tensor.Tensor {
	return nn.Forward(b, x, func(x *tensor.Tensor) *tensor.Tensor {
		if b.inside != nil {
			x = b.inside(b, x)
		}
		return x.Add(b.down.Forward(b.up.Forward(x).SiLU()))
	})
}

// net is embedding, blocks, and two heads: one tied to the embedding, one of a
// single row.
type net struct {
	nn.Unit
	embed  *nn.Embedding
	blocks []*block
	head   *nn.Linear
	score  *nn.Linear
}

func newNet(blocks, d, h int) *net {
	m := &net{Unit: nn.NewUnit("TestModel"), embed: nn.NewEmbedding(vocabulary, d), score: nn.NewLinear(d, 1, true)}
	m.AddChild("embed", m.embed)
	for i := range blocks {
		m.blocks = append(m.blocks, newBlock(d, h))
		m.AddChild(fmt.Sprintf("blocks.%d", i), m.blocks[i])
	}
	m.head = &nn.Linear{Unit: nn.NewUnit("Linear"), Weight: m.embed.Weight}
	m.head.AddParameter("weight", m.embed.Weight)
	m.AddChild("head", m.head)
	m.AddChild("score", m.score)
	return m
}

func small() *net { return newNet(3, width, hidden) }

// forward maps ids [T] to [T, V].
func (m *net) forward(ids *tensor.Tensor) *tensor.Tensor {
	return nn.Forward(m, ids, func(ids *tensor.Tensor) *tensor.Tensor {
		x := m.embed.Forward(ids)
		for _, b := range m.blocks {
			x = b.forward(x)
		}
		return m.head.Forward(x).Add(m.score.Forward(x))
	})
}

// train runs rows [lo, hi) of a made-up batch forward and backward. The
// gradients of a step over all rows are the mean over ranks of weight times
// each rank's. It returns the output.
func (m *net) train(dev *tensor.Device, lo, hi int, seed, weight float64) []float32 {
	var out []float32
	dev.Scope(func() *tensor.Tensor {
		var ids []int32
		var dy []float32
		for i := lo; i < hi; i++ {
			ids = append(ids, int32(i*7+int(seed))%vocabulary)
			for v := range vocabulary {
				dy = append(dy, float32(weight*math.Sin(seed+float64(i*vocabulary+v))))
			}
		}
		y := m.forward(tensor.FromInt32(dev, ids))
		out = y.Float32s()
		y.Backward(tensor.FromFloat32(dev, dy, hi-lo, vocabulary))
		return nil
	})
	return out
}

// share is a rank's rows of the batch.
func share(r *distributed.Rank) (lo, hi int) {
	return r.Rank * batch / r.Size, (r.Rank + 1) * batch / r.Size
}

// step is train on a rank's share.
func (m *net) step(r *distributed.Rank, seed float64) []float32 {
	lo, hi := share(r)
	return m.train(r.Dev, lo, hi, seed, float64(r.Size))
}

func newWorld(t *testing.T, ranks int) *distributed.World {
	t.Helper()
	return newWorldOn(t, fmt.Sprintf("cpu:%d", ranks))
}

func newWorldOn(t *testing.T, devices string) *distributed.World {
	t.Helper()
	list, err := device.ParseList(devices)
	if err != nil {
		t.Fatal(err)
	}
	w, err := distributed.NewWorld(list, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// spread shards a model and gives it the values that every test starts from.
func spread(m nn.Module, r *distributed.Rank, cfg fsdp.Config) (*fsdp.Model, error) {
	f, err := fsdp.FullyShard(m, r, cfg)
	if err == nil {
		nn.Initialize(m, 0.4, 5)
	}
	return f, err
}

// collect gathers the whole of something that each parameter has rows of.
func collect(f *fsdp.Model, rows func(p *nn.Parameter) *tensor.Tensor) map[string][]float32 {
	out := map[string][]float32{}
	for _, np := range nn.NamedParameters(f.Module) {
		full := f.FullTensor(np.Parameter, rows(np.Parameter))
		out[np.Name] = full.Float32s()
		full.Release()
	}
	return out
}

func masters(f *fsdp.Model) map[string][]float32 { return collect(f, (*nn.Parameter).Master) }
func gradients(f *fsdp.Model) map[string][]float32 {
	return collect(f, (*nn.Parameter).MasterGrad)
}

// single computes a step of the small model on one device, without FSDP.
func single(t *testing.T, seeds ...float64) (out []float32, grads, params map[string][]float32) {
	t.Helper()
	dev, err := tensor.Open(device.Device{Type: device.CPU}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	m := small()
	nn.Materialize(m, dev, dtype.Float32)
	nn.Initialize(m, 0.4, 5)
	for _, s := range seeds {
		out = m.train(dev, 0, batch, s, 1)
	}
	grads, params = map[string][]float32{}, map[string][]float32{}
	for _, np := range nn.NamedParameters(m) {
		grads[np.Name] = np.Parameter.MasterGrad().Float32s()
		params[np.Name] = np.Parameter.Master().Float32s()
	}
	return out, grads, params
}

// near compares all parameters, relative to each one's largest element.
func near(what string, got, want map[string][]float32, relative float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%s: %d parameters, want %d", what, len(got), len(want))
	}
	for name, w := range want {
		g := got[name]
		if len(g) != len(w) {
			return fmt.Errorf("%s of %s: %d elements, want %d", what, name, len(g), len(w))
		}
		largest := 0.0
		for _, v := range w {
			largest = math.Max(largest, math.Abs(float64(v)))
		}
		for i := range w {
			if !(math.Abs(float64(g[i])-float64(w[i])) <= relative*largest) {
				return fmt.Errorf("%s of %s[%d]: %g, want %g", what, name, i, g[i], w[i])
			}
		}
	}
	return nil
}
