package data

import (
	"fmt"
	"math/bits"
)

func init() { Register("se", loadSE) }

// seRow is a row of the StackExchange preferences: a question and its answers
// in HTML, with scores.
type seRow struct {
	Question *string `json:"question"`
	Answers  []struct {
		Text  *string  `json:"text"`
		Score *float64 `json:"pm_score"`
	} `json:"answers"`
}

// loadSE prefers of any two answers the one with the higher score (the later
// one of equals), as the reference does. The source has one split: the
// reference shuffles its rows with seed 42 and tests on the first hundredth.
// So path is read whole whatever its files are called, and the split taken out
// of it; fewer than a hundred rows leave nothing to test on. When a question
// comes again, the later row replaces the earlier one, in its place.
func loadSE(path string, split Split) (*Dataset, error) {
	var rows []seRow
	var places []string
	err := eachRow(path, "", func(row seRow, place string) error {
		if row.Question == nil || row.Answers == nil {
			return fmt.Errorf("want the fields question and answers")
		}
		for i, a := range row.Answers {
			if a.Text == nil || a.Score == nil {
				return fmt.Errorf("answers[%d]: want the fields text and pm_score", i)
			}
		}
		if len(row.Answers) == 0 {
			return fmt.Errorf("no answers")
		}
		rows, places = append(rows, row), append(places, place)
		return nil
	})
	if err != nil {
		return nil, err
	}
	order := datasetsShuffle(len(rows))
	tests := int(float64(len(rows)) * 0.01)
	if split == Test {
		order = order[:tests]
	} else {
		order = order[tests:]
	}
	set := &Dataset{Name: "se", Truncation: KeepStart}
	for _, i := range order {
		set.addAnswers(rows[i], places[i])
	}
	return set, nil
}

// addAnswers adds one question with the pairs among its answers.
func (d *Dataset) addAnswers(row seRow, place string) {
	d.Report.Rows++
	p := d.at(humanTurn+" "+stripHTML(*row.Question)+assistantTurn, place)
	if p.Responses != nil {
		d.Report.Replaced++
		for _, pair := range p.Pairs {
			d.Report.tally(p.Responses[pair[0]], p.Responses[pair[1]], -1)
		}
		*p = Prompt{Text: p.Text, Row: place}
	}
	var scores []float64
	for _, a := range row.Answers {
		p.Responses, scores = append(p.Responses, " "+stripHTML(*a.Text)), append(scores, *a.Score)
	}
	for i := range scores {
		for j := i + 1; j < len(scores); j++ {
			if scores[i] > scores[j] {
				d.pair(p, i, j, place)
			} else {
				d.pair(p, j, i, place)
			}
		}
	}
	p.SFTTarget = best(p.Responses, scores)
}

// pcg64 is NumPy's default generator: O'Neill's PCG XSL-RR 128/64, of which
// 32-bit draws take the low half of an output first.
type pcg64 struct {
	high, low uint64
	kept      uint32
	hasKept   bool
}

// datasetsShuffle is the order that the datasets library's shuffle(seed=42)
// gives n rows: numpy.random.default_rng(42).permutation(n).
func datasetsShuffle(n int) []int {
	r := pcg64{high: 0xcea44f6798798f2a, low: 0xacbc7c9d68860ac8} // numpy.random.PCG64(42).state
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := int(r.upTo(uint32(i)))
		order[i], order[j] = order[j], order[i]
	}
	return order
}

func (r *pcg64) uint64() uint64 {
	const (
		multHigh, multLow = 0x2360ed051fc65da4, 0x4385df649fccf645
		incHigh, incLow   = 0xfa505436c9a8416e, 0x66caf2e28d25abff // of seed 42
	)
	high, low := bits.Mul64(r.low, multLow)
	high += r.high*multLow + r.low*multHigh
	low, carry := bits.Add64(low, incLow, 0)
	high, _ = bits.Add64(high, incHigh, carry)
	r.high, r.low = high, low
	return bits.RotateLeft64(high^low, -int(high>>58))
}

func (r *pcg64) uint32() uint32 {
	if r.hasKept {
		r.hasKept = false
		return r.kept
	}
	v := r.uint64()
	r.kept, r.hasKept = uint32(v>>32), true
	return uint32(v)
}

// upTo draws an integer from 0 to most: as many bits as most has, again until
// it fits.
func (r *pcg64) upTo(most uint32) uint32 {
	mask := uint32(1)<<bits.Len32(most) - 1
	for {
		if v := r.uint32() & mask; v <= most {
			return v
		}
	}
}
