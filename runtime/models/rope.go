package models

import "dpolab/runtime/nn"

// Rotary reads a rotary embedding in either of transformers' forms: the older
// one with the base under thetaKey and rope_scaling at top level, and the newer
// one with all of it in rope_parameters. fraction is the part of each head
// that is turned unless rope_parameters says otherwise.
func (r *Reader) Rotary(thetaKey string, fraction float64, headDim, maxPositions int) nn.RotaryConfig {
	c := nn.RotaryConfig{MaxPositions: maxPositions, Theta: r.FloatOr(thetaKey, 10000)}
	fraction = r.FloatOr("partial_rotary_factor", fraction)
	p := r.Object("rope_parameters")
	if p == nil {
		p = r.Object("rope_scaling")
	}
	if p != nil {
		fraction = p.FloatOr("partial_rotary_factor", fraction)
		c.Theta = p.FloatOr("rope_theta", c.Theta)
		c.Scaling = p.StringOr("rope_type", p.StringOr("type", "default"))
		c.Factor = p.FloatOr("factor", 0)
		c.LowFreqFactor = p.FloatOr("low_freq_factor", 0)
		c.HighFreqFactor = p.FloatOr("high_freq_factor", 0)
		c.OriginalMaxPositions = p.IntOr("original_max_position_embeddings", r.IntOr("original_max_position_embeddings", 0))
		if r.err == nil {
			r.err = p.err
		}
	}
	c.Dim = int(float64(headDim) * fraction)
	if err := c.Validate(); err != nil && r.err == nil {
		r.Fail("rotary embedding", "a supported one", err.Error())
	}
	return c
}
