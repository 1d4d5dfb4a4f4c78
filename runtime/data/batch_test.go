package data

import (
	"reflect"
	"slices"
	"testing"

	"dpolab/kernels"
)

func example(prompt, chosen, rejected []int32) Example {
	return Example{Prompt: prompt, Chosen: chosen, Rejected: rejected}
}

// TestLayout spells out the batch of one pair, and of one without a prompt.
func TestLayout(t *testing.T) {
	examples := []Example{
		example([]int32{10, 11}, []int32{20, 21, 1}, []int32{30, 1}),
		example(nil, []int32{40, 1}, []int32{50, 51, 1}),
	}
	for _, c := range []struct {
		mode Mode
		want Batch
	}{
		{Preference, Batch{
			IDs:       []int32{10, 11, 20, 21, 1, 30, 1, 40, 1, 50, 51, 1},
			Positions: []int32{0, 1, 2, 3, 4, 2, 3, 0, 1, 0, 1, 2},
			Segments: []kernels.Segment{
				{QueryEnd: 2, KeyEnd: 2},
				{QueryStart: 2, QueryEnd: 5, KeyStart: 2, KeyEnd: 5, PrefixEnd: 2},
				{QueryStart: 5, QueryEnd: 7, KeyStart: 5, KeyEnd: 7, PrefixEnd: 2},
				{QueryStart: 7, QueryEnd: 9, KeyStart: 7, KeyEnd: 9, PrefixStart: 7, PrefixEnd: 7},
				{QueryStart: 9, QueryEnd: 12, KeyStart: 9, KeyEnd: 12, PrefixStart: 7, PrefixEnd: 7},
			},
			LabelRows: []int32{1, 2, 3, 7, 1, 5, 9, 10},
			Labels:    []int32{20, 21, 1, 1, 30, 1, 51, 1},
			Offsets:   []int32{0, 3, 4, 6, 8},
			Examples:  examples,
		}},
		{SFT, Batch{
			IDs:       []int32{10, 11, 20, 21, 1, 40, 1},
			Positions: []int32{0, 1, 2, 3, 4, 0, 1},
			Segments:  []kernels.Segment{{QueryEnd: 5, KeyEnd: 5}, {QueryStart: 5, QueryEnd: 7, KeyStart: 5, KeyEnd: 7}},
			LabelRows: []int32{1, 2, 3, 5},
			Labels:    []int32{20, 21, 1, 1},
			Offsets:   []int32{0, 3, 4},
			Examples:  examples,
		}},
	} {
		if got := Pack(examples, c.mode); !reflect.DeepEqual(*got, c.want) {
			t.Errorf("mode %d:\n got %+v\nwant %+v", c.mode, *got, c.want)
		}
	}
}

// TestPackAgainstPadded lays the reference rows' examples out both ways and
// wants every row of the packed one to see exactly the tokens, at the same
// positions, that its twin in the padded one sees.
func TestPackAgainstPadded(t *testing.T) {
	it := iteratorOf(t, pluginOf(t, "testdata/tokenizer"), goldenRun{Names: []string{"hh"}, BatchSize: 5, Epochs: 1, MaxLength: 128, MaxPromptLength: 64})
	for _, examples := range drain(t, it) {
		for _, mode := range []Mode{Preference, SFT} {
			b, p := Pack(examples, mode), Pad(examples, mode)
			seen := contexts(t, b)
			for r := range p.Rows {
				at := b.Offsets[r]
				for j := 1; j < p.Width; j++ {
					label := p.Labels[r*p.Width+j]
					if label == -100 {
						continue
					}
					row := b.LabelRows[at]
					if b.Labels[at] != label || !slices.Equal(seen[row], p.IDs[r*p.Width:r*p.Width+j]) || int(b.Positions[row]) != j-1 {
						t.Fatalf("mode %d, response %d, token %d: label %d at position %d after %v; want %d after %v",
							mode, r, j, b.Labels[at], b.Positions[row], seen[row], label, p.IDs[r*p.Width:r*p.Width+j])
					}
					at++
				}
				if at != b.Offsets[r+1] {
					t.Errorf("mode %d, response %d: %d labels more than the padded layout", mode, r, b.Offsets[r+1]-at)
				}
			}
		}
	}
}

// contexts lists the tokens that each row of a batch attends to.
func contexts(t *testing.T, b *Batch) [][]int32 {
	seen := make([][]int32, len(b.IDs))
	next := int32(0)
	for _, s := range b.Segments {
		if s.QueryStart != next || s.KeyStart != s.QueryStart || s.KeyEnd != s.QueryEnd {
			t.Fatalf("segment %+v, want one of queries from %d on", s, next)
		}
		for q := s.QueryStart; q < s.QueryEnd; q++ {
			seen[q] = slices.Concat(b.IDs[s.PrefixStart:s.PrefixEnd], b.IDs[s.KeyStart:q+1])
		}
		next = s.QueryEnd
	}
	if int(next) != len(b.IDs) {
		t.Fatalf("segments end at %d of %d tokens", next, len(b.IDs))
	}
	return seen
}

func TestRankRange(t *testing.T) {
	const examples = "0123456789"
	for world, want := range map[int][]string{1: {"0123456789"}, 2: {"01234", "56789"}, 4: {"012", "345", "67", "89"},
		12: {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "", ""}} {
		for rank, rows := range want {
			lo, hi := RankRange(len(examples), world, rank)
			if got := examples[lo:hi]; got != rows {
				t.Errorf("rank %d of %d: %q, want %q", rank, world, got, rows)
			}
		}
	}
}
