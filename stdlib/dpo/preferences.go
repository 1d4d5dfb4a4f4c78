package dpo

import (
	"fmt"
	"strings"

	"dpolab/runtime/data"
)

// Preferences is a list of preference pairs: prompts, each with a chosen and a
// rejected response.
type Preferences struct{ set *data.Dataset }

// Pair is one preference as text.
type Pair struct{ Prompt, Chosen, Rejected string }

// String shows the pair on three lines.
func (p Pair) String() string {
	return fmt.Sprintf("prompt   %q\nchosen   %q\nrejected %q", p.Prompt, p.Chosen, p.Rejected)
}

// LoadPreferences reads the split "train" or "test" of a source: hh, shp, se,
// or pairs (JSON lines with prompt, chosen and rejected). path is a file or a
// directory.
func LoadPreferences(source, path, split string) *Preferences {
	if s := data.Split(split); s != data.Train && s != data.Test {
		refuse("LoadPreferences", `split "train" or "test"`, "%q", split)
	}
	p := &Preferences{}
	stoppable("LoadPreferences", func() (err error) { p.set, err = data.Load(source, path, data.Split(split)); return err }, nil)
	return p
}

// NewPreferences is an empty list, to be filled with Add.
func NewPreferences() *Preferences { return &Preferences{&data.Dataset{Name: "pairs"}} }

// Add appends a pair.
func (p *Preferences) Add(prompt, chosen, rejected string) {
	p.set.AddPair(prompt, chosen, rejected, fmt.Sprintf("pair %d", p.Len()+1))
}

// Len is the number of pairs.
func (p *Preferences) Len() int { return p.set.NumPairs() }

// Pair returns pair i.
func (p *Preferences) Pair(i int) Pair {
	if n := p.Len(); i < 0 || i >= n {
		refuse("Preferences.Pair", fmt.Sprintf("0 to %d", n-1), "%d", i)
	}
	at := i
	for _, q := range p.set.Prompts {
		if at < len(q.Pairs) {
			return Pair{q.Text, q.Responses[q.Pairs[at][0]], q.Responses[q.Pairs[at][1]]}
		}
		at -= len(q.Pairs)
	}
	return Pair{}
}

// Prompts returns the texts of the first n prompts, or of all there are.
func (p *Preferences) Prompts(n int) []string {
	var out []string
	for _, q := range p.set.Prompts[:max(0, min(n, len(p.set.Prompts)))] {
		out = append(out, q.Text)
	}
	return out
}

// Slice is a list of the prompts from the one with number lo up to, not
// including, hi, with their pairs.
func (p *Preferences) Slice(lo, hi int) *Preferences {
	if n := len(p.set.Prompts); lo < 0 || hi > n || lo > hi {
		refuse("Preferences.Slice", fmt.Sprintf("a range within %d prompts", n), "%d to %d", lo, hi)
	}
	return &Preferences{&data.Dataset{Name: p.set.Name, Prompts: p.set.Prompts[lo:hi], Truncation: p.set.Truncation}}
}

func (p *Preferences) String() string {
	return fmt.Sprintf("%s: %d pairs of %d prompts", p.set.Name, p.Len(), len(p.set.Prompts))
}

// Batch is a list of tokenised pairs.
type Batch struct {
	examples []data.Example
	tok      *Tokenizer // for texts of single tokens
}

// Len is the number of pairs.
func (b *Batch) Len() int { return len(b.examples) }

// Pair returns pair i as text.
func (b *Batch) Pair(i int) Pair {
	if i < 0 || i >= b.Len() {
		refuse("Batch.Pair", fmt.Sprintf("0 to %d", b.Len()-1), "%d", i)
	}
	e := b.examples[i]
	return Pair{e.PromptText, e.ChosenText, e.RejectedText}
}

// Slice is the batch of pairs lo up to, not including, hi: a microbatch.
func (b *Batch) Slice(lo, hi int) *Batch {
	if lo < 0 || hi > b.Len() || lo > hi {
		refuse("Batch.Slice", fmt.Sprintf("a range within %d pairs", b.Len()), "%d to %d", lo, hi)
	}
	return &Batch{b.examples[lo:hi], b.tok}
}

// Tokens is the number of tokens computed for the batch: prompts once, no
// padding.
func (b *Batch) Tokens() int { return data.Count(b.examples, data.Preference).Packed }

func (b *Batch) String() string { return fmt.Sprintf("%d pairs, %d tokens", b.Len(), b.Tokens()) }

// Tokenize turns all pairs into one batch, in order, with texts cut to
// maxLength tokens as the reference DPO code cuts them (prompts to half of it).
func (p *Preferences) Tokenize(tok *Tokenizer, maxLength int) *Batch {
	return &Batch{p.examples("Preferences.Tokenize", tok, data.Options{BatchSize: max(1, p.Len()), Epochs: 1,
		Limits: data.Limits{MaxLength: maxLength, MaxPromptLength: max(1, maxLength/2)}}), tok}
}

// examples tokenises everything that an iteration delivers.
func (p *Preferences) examples(op string, tok *Tokenizer, o data.Options) (all []data.Example) {
	if p.Len() == 0 {
		return nil
	}
	it, err := data.NewIterator([]*data.Dataset{p.set}, tok.forData(op), o)
	check(op, err)
	ctx := Context()
	for {
		check(op, ctx.Err())
		batch, err := it.Next()
		check(op, err)
		if batch == nil {
			return all
		}
		all = append(all, batch...)
	}
}

// PairLogProbs are the summed log-probabilities of responses under a model, in
// the order of the pairs.
type PairLogProbs struct{ Chosen, Rejected []float64 }

// Accuracy is the share of pairs whose chosen response is the likelier one.
func (s PairLogProbs) Accuracy() float64 {
	n := 0
	for i := range s.Chosen {
		if s.Chosen[i] > s.Rejected[i] {
			n++
		}
	}
	return float64(n) / float64(len(s.Chosen))
}

// MaxDifference is the largest change of a response's log-probability between
// two results for the same pairs.
func (s PairLogProbs) MaxDifference(other PairLogProbs) float64 {
	if len(s.Chosen) != len(other.Chosen) {
		refuse("MaxDifference", fmt.Sprintf("log-probabilities of %d pairs", len(s.Chosen)), "%d", len(other.Chosen))
	}
	largest := 0.0
	for i := range s.Chosen {
		largest = max(largest, distance(s.Chosen[i], other.Chosen[i]), distance(s.Rejected[i], other.Rejected[i]))
	}
	return largest
}

func distance(a, b float64) float64 { return max(a-b, b-a) }

// String shows how many there are and their means.
func (s PairLogProbs) String() string {
	mean := func(xs []float64) float64 {
		sum := 0.0
		for _, x := range xs {
			sum += x
		}
		return sum / float64(len(xs))
	}
	if len(s.Chosen) == 0 {
		return "log-probabilities of no pairs"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "log-probabilities of %d pairs: chosen %.3f, rejected %.3f on average, chosen likelier in %.0f %%",
		len(s.Chosen), mean(s.Chosen), mean(s.Rejected), 100*s.Accuracy())
	return b.String()
}

// logProbsBatch is how many pairs ComputeLogProbs runs at a time.
const logProbsBatch = 16

// ComputeLogProbs returns the log-probability of every response of b under m,
// in the precision in force and without gradients.
func ComputeLogProbs(m *Model, b *Batch) PairLogProbs {
	const op = "ComputeLogProbs"
	replicas := m.use(op)
	if b == nil || b.Len() == 0 {
		refuse(op, "at least one pair", "none")
	}
	n := b.Len()
	step, end := task("log-probabilities", "pairs", n)
	defer end()
	values, err := replicas.LogProbs(Context(), b.examples, data.Preference, logProbsBatch, step)
	check(op, err)
	out := PairLogProbs{make([]float64, n), make([]float64, n)}
	for i := range n {
		out.Chosen[i], out.Rejected[i] = float64(values[i]), float64(values[n+i])
	}
	return out
}
