package data

import "dpolab/kernels"

// Mode says what of an example a batch holds.
type Mode uint8

const (
	Preference Mode = iota // prompt, chosen and rejected
	SFT                    // prompt and chosen
)

// Batch is a packed list of tokens in host memory. T is the number of tokens,
// R of labels, N of responses: 2B for preferences, all chosen before all
// rejected, and B for SFT.
type Batch struct {
	IDs, Positions []int32 // [T]
	Segments       []kernels.Segment
	// LabelRows[i] is the row whose next token is Labels[i], [R]. A prompt's
	// last row predicts the first token of both responses and is listed twice.
	LabelRows, Labels []int32
	Offsets           []int32 // [N+1], each response's run of labels
	Examples          []Example
}

// Pack lays examples out without padding, each prompt once.
func Pack(examples []Example, mode Mode) *Batch {
	b := &Batch{Examples: examples, Offsets: []int32{0}}
	type run struct{ rows, labels []int32 }
	sides := 1
	if mode == Preference {
		sides = 2
	}
	runs := make([][]run, sides)
	for _, e := range examples {
		promptStart, promptEnd := b.add(e.Prompt, 0)
		if mode == SFT { // one causal sequence
			start, end := b.add(e.Chosen, len(e.Prompt))
			b.Segments = append(b.Segments, kernels.Causal(promptStart, end))
			runs[0] = append(runs[0], run(labels(e.Chosen, promptEnd > promptStart, promptEnd-1, start)))
			continue
		}
		b.Segments = append(b.Segments, kernels.Causal(promptStart, promptEnd))
		for s, response := range [][]int32{e.Chosen, e.Rejected} {
			start, end := b.add(response, len(e.Prompt))
			b.Segments = append(b.Segments, kernels.After(promptStart, promptEnd, start, end))
			runs[s] = append(runs[s], run(labels(response, promptEnd > promptStart, promptEnd-1, start)))
		}
	}
	for _, side := range runs {
		for _, r := range side {
			b.LabelRows = append(b.LabelRows, r.rows...)
			b.Labels = append(b.Labels, r.labels...)
			b.Offsets = append(b.Offsets, int32(len(b.Labels)))
		}
	}
	return b
}

// add appends tokens whose first has the given position and returns their rows.
func (b *Batch) add(ids []int32, position int) (start, end int) {
	start = len(b.IDs)
	b.IDs = append(b.IDs, ids...)
	for i := range ids {
		b.Positions = append(b.Positions, int32(position+i))
	}
	return start, len(b.IDs)
}

// labels pairs each token of a response with the row before it: the prompt's
// last row for the first token, which no row predicts if the prompt is empty.
func labels(response []int32, hasPrompt bool, last, start int) struct{ rows, labels []int32 } {
	var out struct{ rows, labels []int32 }
	for i, id := range response {
		row := start + i - 1
		if i == 0 {
			if !hasPrompt {
				continue
			}
			row = last
		}
		out.rows = append(out.rows, int32(row))
		out.labels = append(out.labels, id)
	}
	return out
}
