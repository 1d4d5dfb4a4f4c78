package nn

import (
	"fmt"
	"math"

	"dpolab/runtime/tensor"
)

// RotaryConfig describes a rotary position embedding (arXiv 2104.09864) as
// transformers does in rope_theta and rope_scaling.
type RotaryConfig struct {
	Dim          int     // elements of a head that are turned
	MaxPositions int     // rows of the tables
	Theta        float64 // base of the frequencies
	// Scaling is "default", "linear" or "llama3"; empty means default.
	Scaling string
	// Factor stretches positions: linear divides every frequency by it, llama3
	// only the low ones.
	Factor float64
	// LowFreqFactor, HighFreqFactor and OriginalMaxPositions bound the band in
	// which llama3 blends from stretched to unchanged.
	LowFreqFactor, HighFreqFactor float64
	OriginalMaxPositions          int
}

// Validate reports settings that make no embedding.
func (c RotaryConfig) Validate() error {
	switch {
	case c.Dim < 2 || c.Dim%2 != 0:
		return fmt.Errorf("nn: rotary embedding over %d elements of a head, want an even number", c.Dim)
	case c.MaxPositions < 1:
		return fmt.Errorf("nn: rotary embedding for %d positions, want at least 1", c.MaxPositions)
	case !(c.Theta > 0):
		return fmt.Errorf("nn: rotary base %g, want more than 0", c.Theta)
	}
	switch c.Scaling {
	case "", "default":
		return nil
	case "linear":
		if !(c.Factor > 0) {
			return fmt.Errorf("nn: rope scaling linear with factor %g, want more than 0", c.Factor)
		}
		return nil
	case "llama3":
		if !(c.Factor > 0) || !(c.LowFreqFactor > 0) || !(c.HighFreqFactor > c.LowFreqFactor) || c.OriginalMaxPositions < 1 {
			return fmt.Errorf("nn: rope scaling llama3 wants factor > 0, 0 < low_freq_factor < high_freq_factor and original_max_position_embeddings > 0, got %g, %g, %g, %d",
				c.Factor, c.LowFreqFactor, c.HighFreqFactor, c.OriginalMaxPositions)
		}
		return nil
	}
	return fmt.Errorf("nn: rope scaling type %q is not supported, want default, linear or llama3", c.Scaling)
}

// Frequencies returns the Dim/2 angles by which one position turns.
func (c RotaryConfig) Frequencies() []float32 {
	f := make([]float32, c.Dim/2)
	for i := range f {
		w := 1 / math.Pow(c.Theta, float64(2*i)/float64(c.Dim))
		switch c.Scaling {
		case "linear":
			w /= c.Factor
		case "llama3":
			w = c.llama3(w)
		}
		f[i] = float32(w)
	}
	return f
}

// llama3 leaves frequencies alone that turn often within the original context,
// divides those by Factor that turn rarely, and blends in between.
func (c RotaryConfig) llama3(w float64) float64 {
	turns := float64(c.OriginalMaxPositions) * w / (2 * math.Pi)
	switch {
	case turns < c.LowFreqFactor:
		return w / c.Factor
	case turns > c.HighFreqFactor:
		return w
	}
	keep := (turns - c.LowFreqFactor) / (c.HighFreqFactor - c.LowFreqFactor)
	return (1-keep)*w/c.Factor + keep*w
}

// RotaryTable holds the cosines and sines of every position, [P, Dim/2]. They
// stay float32 whatever the model computes in.
type RotaryTable struct {
	Unit
	Cos, Sin *Buffer
	dim      int
}

// NewRotaryTable computes the tables; c must be valid. class is the name
// transformers gives the module, such as "LlamaRotaryEmbedding".
func NewRotaryTable(class string, c RotaryConfig) *RotaryTable {
	if err := c.Validate(); err != nil {
		panic(&tensor.Error{Op: "rotary table", Err: err})
	}
	freqs := c.Frequencies()
	half := len(freqs)
	cos, sin := make([]float32, c.MaxPositions*half), make([]float32, c.MaxPositions*half)
	for p := range c.MaxPositions {
		for i, w := range freqs {
			// The angle is a float32 product, as it was when the published
			// checkpoints were trained.
			s, k := math.Sincos(float64(float32(p) * w))
			cos[p*half+i], sin[p*half+i] = float32(k), float32(s)
		}
	}
	t := &RotaryTable{Unit: NewUnit(class), dim: c.Dim}
	t.Cos = t.AddBuffer("cos", NewBuffer(cos, true, c.MaxPositions, half))
	t.Sin = t.AddBuffer("sin", NewBuffer(sin, true, c.MaxPositions, half))
	return t
}

// Turn rotates the heads in x by positions, int32 [rows]; the result is
// [rows, numHeads, headDim].
func (t *RotaryTable) Turn(x tensor.HeadView, rows, numHeads, headDim int, positions *tensor.Tensor) *tensor.Tensor {
	return tensor.Rotary(x, rows, numHeads, headDim, t.dim, t.Cos.Value, t.Sin.Value, positions)
}
