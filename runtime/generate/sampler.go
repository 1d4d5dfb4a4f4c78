package generate

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
)

// sampler chooses the tokens of one continuation.
type sampler struct {
	config  Config
	random  *rand.Rand
	order   []int32 // scratch: token ids, likeliest first
	weights []float64
}

// newSamplers gives each prompt a generator of its own, seeded by the prompt
// and by how often it came before.
func newSamplers(prompts [][]int32, c Config) []*sampler {
	out := make([]*sampler, len(prompts))
	seen := map[string]uint64{}
	for i, p := range prompts {
		var key []byte
		for _, id := range p {
			key = binary.LittleEndian.AppendUint32(key, uint32(id))
		}
		h := fnv.New64a()
		h.Write(key)
		h.Write(binary.LittleEndian.AppendUint64(nil, seen[string(key)]))
		seen[string(key)]++
		out[i] = &sampler{config: c, random: rand.New(rand.NewPCG(c.Seed, h.Sum64()))}
	}
	return out
}

var errNotFinite = errors.New("the model's scores are NaN or infinite")

// pick chooses a token given the scores of all.
func (s *sampler) pick(scores []float32) (int32, error) {
	best := 0
	for i, v := range scores {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 1) {
			return 0, errNotFinite
		}
		if v > scores[best] {
			best = i
		}
	}
	if math.IsInf(float64(scores[best]), -1) {
		return 0, errNotFinite
	}
	if !s.config.DoSample {
		return int32(best), nil
	}
	s.rank(scores)
	return s.draw(scores, scores[best]), nil
}

// rank lists the tokens that may be drawn by TopK, in order of score if
// TopK or TopP cares; ties go to the smaller id.
func (s *sampler) rank(scores []float32) {
	s.order = s.order[:0]
	for i := range scores {
		s.order = append(s.order, int32(i))
	}
	if s.config.TopK == 0 && s.config.TopP == 1 {
		return
	}
	slices.SortFunc(s.order, func(a, b int32) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return int(a - b)
	})
	if k := s.config.TopK; k > 0 && k < len(s.order) {
		s.order = s.order[:k]
	}
}

// draw cuts the list by TopP and draws from what is left.
func (s *sampler) draw(scores []float32, highest float32) int32 {
	s.weights = s.weights[:0]
	sum := 0.0
	for _, id := range s.order {
		w := math.Exp(float64(scores[id]-highest) / s.config.Temperature)
		s.weights = append(s.weights, w)
		sum += w
	}
	n := len(s.order)
	if p := s.config.TopP; p < 1 {
		held := 0.0
		for n = 0; n < len(s.order) && held < p*sum; n++ {
			held += s.weights[n]
		}
		sum = held
	}
	x := s.random.Float64() * sum
	last := s.order[0]
	for i, w := range s.weights[:n] {
		if w == 0 {
			continue
		}
		last = s.order[i]
		if x -= w; x < 0 {
			break
		}
	}
	return last
}
