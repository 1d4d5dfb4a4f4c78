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

// RankRange returns which of a batch's n examples are rank's: a contiguous run
// [lo, hi). Runs are equal when world divides n, as the reference demands;
// otherwise the first ranks take one more, so that none is lost, and a rank may
// get none.
func RankRange(n, world, rank int) (lo, hi int) {
	per, more := n/world, n%world
	lo = rank*per + min(rank, more)
	hi = lo + per
	if rank < more {
		hi++
	}
	return lo, hi
}

// Pack lays examples out without padding, each prompt once. A preference pair
// is prompt | chosen | rejected: the prompt is a segment of its own, both
// responses have it as their prefix, and their positions go on from its length.
// For supervised fine-tuning prompt | chosen is one causal sequence.
//
// The first token of a response after an empty prompt has no row that predicts
// it and thus no label, as in the reference, whose shift by one drops it.
func Pack(examples []Example, mode Mode) *Batch {
	b := &Batch{Examples: examples, Offsets: []int32{0}}
	chosen, rejected := make([]run, 0, len(examples)), []run(nil)
	for _, e := range examples {
		start, end := b.add(e.Prompt, 0)
		if mode == SFT {
			from, to := b.add(e.Chosen, len(e.Prompt))
			b.segment(kernels.Causal(start, to))
			chosen = append(chosen, run{e.Chosen, start, end, from})
			continue
		}
		b.segment(kernels.Causal(start, end))
		from, to := b.add(e.Chosen, len(e.Prompt))
		b.segment(kernels.After(start, end, from, to))
		chosen = append(chosen, run{e.Chosen, start, end, from})
		from, to = b.add(e.Rejected, len(e.Prompt))
		b.segment(kernels.After(start, end, from, to))
		rejected = append(rejected, run{e.Rejected, start, end, from})
	}
	for _, r := range append(chosen, rejected...) {
		b.label(r)
	}
	return b
}

// run is a response in the batch: its tokens, its prompt's rows, and its first
// row.
type run struct {
	tokens                 []int32
	promptStart, promptEnd int
	start                  int
}

// label pairs each token of a response with the row before it, which for the
// first token is the prompt's last row.
func (b *Batch) label(r run) {
	for i, id := range r.tokens {
		row := r.start + i - 1
		if i == 0 {
			if r.promptStart == r.promptEnd {
				continue
			}
			row = r.promptEnd - 1
		}
		b.LabelRows, b.Labels = append(b.LabelRows, int32(row)), append(b.Labels, id)
	}
	b.Offsets = append(b.Offsets, int32(len(b.Labels)))
}

// segment adds a segment unless it has no rows.
func (b *Batch) segment(s kernels.Segment) {
	if s.Queries() > 0 {
		b.Segments = append(b.Segments, s)
	}
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
