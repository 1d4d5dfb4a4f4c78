package models

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/runtime/tensor"
)

// Input is a packed batch of T tokens in host memory. Token i stands at
// Positions[i] of its sequence; Segments say which rows each row sees. A
// preference pair is laid out prompt | chosen | rejected, both responses
// counting positions on from the prompt's end and seeing the one prompt.
type Input struct {
	IDs, Positions []int32
	Segments       []kernels.Segment
}

// Pack lays sequences out one after another, each causal in itself.
func Pack(sequences [][]int32) Input {
	var in Input
	for _, s := range sequences {
		start := len(in.IDs)
		in.append(s, 0)
		in.Segments = append(in.Segments, kernels.Causal(start, len(in.IDs)))
	}
	return in
}

// PackPair lays out one prompt with two responses that share it.
func PackPair(prompt, chosen, rejected []int32) Input {
	var in Input
	p, c := len(prompt), len(prompt)+len(chosen)
	in.append(prompt, 0)
	in.append(chosen, p)
	in.append(rejected, p)
	in.Segments = []kernels.Segment{kernels.Causal(0, p), kernels.After(0, p, p, c), kernels.After(0, p, c, len(in.IDs))}
	return in
}

// append adds tokens that stand at position first and on.
func (in *Input) append(ids []int32, first int) {
	in.IDs = append(in.IDs, ids...)
	for i := range ids {
		in.Positions = append(in.Positions, int32(first+i))
	}
}

// check panics for a batch that the model cannot compute.
func (in Input) check(c Config) {
	if len(in.IDs) == 0 || len(in.Positions) != len(in.IDs) {
		panic(&tensor.Error{Op: "model input", Want: "at least one token and a position for each",
			Got: fmt.Sprintf("%d tokens and %d positions", len(in.IDs), len(in.Positions))})
	}
	for i, id := range in.IDs {
		if id < 0 || int(id) >= c.VocabSize {
			panic(&tensor.Error{Op: "model input", Want: fmt.Sprintf("token ids below the vocabulary's %d", c.VocabSize),
				Got: fmt.Sprintf("%d in row %d", id, i)})
		}
		if p := in.Positions[i]; p < 0 || int(p) >= c.MaxPositions {
			panic(&tensor.Error{Op: "model input", Want: fmt.Sprintf("positions below the model's limit of %d", c.MaxPositions),
				Got: fmt.Sprintf("%d in row %d", p, i)})
		}
	}
}
