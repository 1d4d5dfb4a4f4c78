package bench

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"strings"

	"dpolab/runtime/data"
	"dpolab/runtime/tokenizer"
)

// hhLengths are the lengths, in GPT-NeoX tokens, of prompt, chosen and rejected
// of pairs drawn at random from Anthropic HH harmless-base, after the
// reference's truncation. No text is kept.
//
//go:embed lengths.csv
var hhLengths string

// pairsPerBatch is the real job's batch size.
const pairsPerBatch = 8

// pairBatches returns n batches of preference pairs with ids below vocabulary:
// the text of the HH file if there is one, else random tokens of its lengths.
func (d *driver) pairBatches(n, vocabulary int) ([][]data.Example, error) {
	var pairs []data.Example
	var err error
	if d.options.HH == "" {
		pairs = randomPairs(vocabulary)
	} else if pairs, err = d.filePairs(vocabulary); err != nil {
		return nil, err
	}
	if len(pairs) < n*pairsPerBatch {
		return nil, fmt.Errorf("bench: %d batches need %d pairs, there are %d", n, n*pairsPerBatch, len(pairs))
	}
	out := make([][]data.Example, n)
	for i := range out {
		out[i] = pairs[i*pairsPerBatch : (i+1)*pairsPerBatch]
	}
	return out, nil
}

func randomPairs(vocabulary int) []data.Example {
	rng := rand.New(rand.NewPCG(7, 11))
	var out []data.Example
	for line := range strings.Lines(hhLengths) {
		var p, c, r int
		if _, err := fmt.Sscanf(line, "%d,%d,%d", &p, &c, &r); err != nil {
			panic(fmt.Sprintf("bench: lengths.csv: %q: %v", line, err))
		}
		out = append(out, data.Example{Prompt: randomTokens(rng, p, vocabulary), Chosen: randomTokens(rng, c, vocabulary), Rejected: randomTokens(rng, r, vocabulary)})
	}
	return out
}

func randomTokens(rng *rand.Rand, n, vocabulary int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(rng.IntN(vocabulary))
	}
	return ids
}

// filePairs reads the HH file in the reference's order.
func (d *driver) filePairs(vocabulary int) ([]data.Example, error) {
	tok, err := tokenizer.Load(d.options.Tokenizer)
	if err != nil {
		return nil, err
	}
	set, err := data.Load("hh", d.options.HH, data.Train)
	if err != nil {
		return nil, err
	}
	o := data.DefaultOptions()
	o.BatchSize, o.Epochs, o.Shuffle = pairsPerBatch, 1, true
	it, err := data.NewIterator([]*data.Dataset{set}, data.Tokenizer{Encode: func(text string) []int32 { return tok.Encode(text, false) }, EOS: 0, EOSText: "<|endoftext|>"}, o)
	if err != nil {
		return nil, err
	}
	var out []data.Example
	for len(out) < 1000 {
		batch, err := it.Next()
		if err != nil || batch == nil {
			return out, err
		}
		for _, e := range batch { // a tokenizer made for a larger vocabulary wraps around
			for _, ids := range [][]int32{e.Prompt, e.Chosen, e.Rejected} {
				for i := range ids {
					ids[i] %= int32(vocabulary)
				}
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// sequences returns n batches of full sequences for the fixed-length step.
func sequences(n, batch, length, vocabulary int) [][]data.Example {
	rng := rand.New(rand.NewPCG(3, 5))
	out := make([][]data.Example, n)
	for i := range out {
		for range batch {
			out[i] = append(out[i], data.Example{Chosen: randomTokens(rng, length, vocabulary)})
		}
	}
	return out
}
