package nn

import (
	"hash/fnv"
	"math/rand/v2"

	"dpolab/runtime/tensor"
)

// DefaultInitializerRange is the standard deviation of new weights when a
// configuration has no initializer_range.
const DefaultInitializerRange = 0.02

// initializer says what a new parameter starts as: a constant, or normal
// numbers around 0 whose deviation is Initialize's times scale.
type initializer struct {
	constant bool
	value    float64
	scale    float64
}

// InitConstant makes Initialize fill p with value: 0 for biases, 1 for the
// weights of norms. It returns p.
func (p *Parameter) InitConstant(value float64) *Parameter {
	p.init = initializer{constant: true, value: value}
	return p
}

// InitScale multiplies the standard deviation of p's first values, which
// otherwise is the model's. It returns p.
func (p *Parameter) InitScale(scale float64) *Parameter {
	p.init = initializer{scale: scale}
	return p
}

// Initialize fills every parameter of m for training from scratch: weights
// normal(0, std), biases 0, norms 1. The values depend on the seed and on the
// parameters' names alone, so a sharded model starts as the whole one does.
func Initialize(m Module, std float64, seed uint64) {
	for _, np := range NamedParameters(m) {
		h := fnv.New64a()
		h.Write([]byte(np.Name))
		np.Parameter.initialize(std, seed, h.Sum64())
	}
}

// initChunk bounds the host memory that initialize takes, in elements.
const initChunk = 1 << 20

func (p *Parameter) initialize(std float64, seed, name uint64) {
	master := p.Master()
	dev := master.Device()
	master.Touch()
	if p.init.constant {
		dev.Backend().Fill(master.Array(), p.init.value)
		return
	}
	width := p.RowLen()
	if width == 0 {
		return
	}
	std *= p.init.scale
	step := max(1, initChunk/width)
	values := make([]float32, 0, step*width)
	for lo := p.RowStart; lo < p.RowEnd; lo += step {
		hi := min(lo+step, p.RowEnd)
		values = values[:0]
		for row := lo; row < hi; row++ {
			// Each row has a generator of its own: any rank can make any row.
			r := rand.New(rand.NewPCG(seed^name, mix(name+uint64(row))))
			for range width {
				values = append(values, float32(r.NormFloat64()*std))
			}
		}
		dst := master.Array().Slice((lo-p.RowStart)*width, (hi-p.RowStart)*width)
		dev.Scope(func() *tensor.Tensor {
			dev.Backend().Copy(dst, tensor.FromFloat32(dev, values).Array())
			return nil
		})
	}
}

// mix spreads neighbouring numbers over all 64 bits (the finalizer of
// SplitMix64), so that neighbouring rows share nothing.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
