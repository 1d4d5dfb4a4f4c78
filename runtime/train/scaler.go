package train

import "math"

// LossScaler keeps float16 gradients inside the type's range: the loss is
// multiplied by Scale, gradients are divided by it before the update, and a
// step whose gradients overflow is skipped and the scale halved (arXiv
// 1710.03740). The defaults are torch.amp.GradScaler's. The decision is taken
// from the global gradient norm, so all ranks agree.
type LossScaler struct {
	Scale          float64
	GrowthInterval int // good steps until the scale doubles
	Good           int // good steps since it last changed
	Skipped        int // steps lost to overflow
	enabled        bool
}

// NewLossScaler returns a scaler; a disabled one has scale 1 for good.
func NewLossScaler(enabled bool) *LossScaler {
	s := &LossScaler{Scale: 1, GrowthInterval: 2000}
	s.Enable(enabled)
	return s
}

// Enable turns scaling on or off, as precision changes between steps.
func (s *LossScaler) Enable(on bool) {
	if on && !s.enabled {
		s.Scale, s.Good = 65536, 0
	} else if !on {
		s.Scale = 1
	}
	s.enabled = on
}

// Update is told the norm of the scaled gradients and reports whether the step
// may be taken.
func (s *LossScaler) Update(norm float64) bool {
	finite := !math.IsNaN(norm) && !math.IsInf(norm, 0)
	if !s.enabled {
		return true
	}
	if !finite {
		s.Scale = math.Max(s.Scale/2, 1)
		s.Good = 0
		s.Skipped++
		return false
	}
	if s.Good++; s.Good == s.GrowthInterval {
		s.Scale *= 2
		s.Good = 0
	}
	return true
}
