package data

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// Options are the reference's arguments of get_batch_iterator.
type Options struct {
	BatchSize int
	Limits    Limits
	SFT       bool // one example per prompt, its SFT target
	Epochs    int  // 0: no end
	Examples  int  // 0: no end; looked at when a batch is complete
	Seed      uint32
	Shuffle   bool
	// DropLast leaves out an epoch's incomplete last batch, as the reference
	// does, so that batches are the reference's; without it the batch is
	// delivered short. Iterator.Dropped says how many were lost.
	DropLast bool
}

// DefaultOptions are the reference's.
func DefaultOptions() Options {
	return Options{BatchSize: 1, Limits: Limits{512, 128}, Shuffle: true, DropLast: true, Epochs: 1}
}

// State is a position between two batches; its zero value is the start.
type State struct {
	Epoch    int    `json:"epoch"`    // epochs begun before this one
	Item     int    `json:"item"`     // items of this epoch's order used
	Examples int    `json:"examples"` // delivered or dropped in all
	Done     bool   `json:"done"`     // enough examples were delivered
	Counts   Counts `json:"counts"`
	// Order is a digest of what decides the order of examples: the data, the
	// seed, and whether prompts are shuffled and taken once or pair by pair.
	Order string `json:"order"`
}

// Counts says what was lost on the way so far.
type Counts struct {
	Dropped   int `json:"dropped"`   // examples left out at the end of an epoch
	Truncated int `json:"truncated"` // examples with a cut prompt
	LostEOS   int `json:"lost_eos"`  // examples with a response cut, and its EOS with it
}

// item is one example to be: a prompt and, for preferences, one of its pairs.
type item struct {
	set    *Dataset
	prompt *Prompt
}

// Iterator delivers batches of examples in the reference's order: at the start
// of each epoch the prompts (not the pairs) are shuffled once more.
type Iterator struct {
	options Options
	tok     Tokenizer
	sets    []*Dataset
	prompts []item // in the current order
	seeds   mersenne
	queue   []pending // the rest of this epoch, flattened
	state   State
	begun   bool
	order   string // digest, computed when first asked for
}

type pending struct {
	item
	pair int
}

// NewIterator prepares iteration over the datasets, joined in order.
func NewIterator(sets []*Dataset, tok Tokenizer, o Options) (*Iterator, error) {
	it := &Iterator{options: o, tok: tok, sets: sets}
	it.reset()
	if o.BatchSize < 1 {
		return nil, fmt.Errorf("data: batch size %d, want 1 or more", o.BatchSize)
	}
	if o.Epochs < 0 || o.Examples < 0 {
		return nil, fmt.Errorf("data: %d epochs, %d examples: want 0 (no limit) or more", o.Epochs, o.Examples)
	}
	if o.Epochs == 0 && o.Examples == 0 {
		return nil, fmt.Errorf("data: neither epochs nor examples limit the iteration")
	}
	if err := o.Limits.check(); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if n := it.perEpoch(); n == 0 || o.DropLast && n < o.BatchSize {
		return nil, fmt.Errorf("data: want examples for a batch of %d at least, got %d", o.BatchSize, n)
	}
	return it, nil
}

func (it *Iterator) reset() {
	it.prompts = nil
	for _, s := range it.sets {
		for i := range s.Prompts {
			it.prompts = append(it.prompts, item{s, &s.Prompts[i]})
		}
	}
	it.seeds = numpySeed(it.options.Seed)
	it.queue, it.state, it.begun = nil, State{}, false
}

// perEpoch is the number of examples in one pass.
func (it *Iterator) perEpoch() int {
	if it.options.SFT {
		return len(it.prompts)
	}
	n := 0
	for _, p := range it.prompts {
		n += len(p.prompt.Pairs)
	}
	return n
}

// Total is the number of examples that will be delivered from the start to the
// end.
func (it *Iterator) Total() int {
	o, per := it.options, it.perEpoch()
	full := per
	if o.DropLast {
		full -= per % o.BatchSize
	}
	if o.Examples == 0 {
		return o.Epochs * full
	}
	total, counted := 0, 0 // dropped examples are counted too
	for epoch := 0; o.Epochs == 0 || epoch < o.Epochs; epoch++ {
		// The limit is looked at when a batch is complete, so each epoch
		// delivers one at least.
		batches := max(1, (o.Examples-counted+o.BatchSize-1)/o.BatchSize)
		if n := batches * o.BatchSize; n <= full || !o.DropLast && counted+full >= o.Examples {
			return total + min(n, full)
		}
		total, counted = total+full, counted+per
	}
	return total
}

// begin starts the next epoch.
func (it *Iterator) begin() {
	if it.options.Shuffle {
		r := pythonSeed(it.seeds.uint32())
		r.shuffle(len(it.prompts), func(i, j int) { it.prompts[i], it.prompts[j] = it.prompts[j], it.prompts[i] })
	}
	it.queue = it.queue[:0]
	for _, p := range it.prompts {
		if it.options.SFT {
			it.queue = append(it.queue, pending{p, -1})
			continue
		}
		for i := range p.prompt.Pairs {
			it.queue = append(it.queue, pending{p, i})
		}
	}
	it.state.Item, it.begun = 0, true
}

// Next returns the next batch, or nil at the end.
func (it *Iterator) Next() ([]Example, error) {
	o := it.options
	for {
		if it.state.Done {
			return nil, nil
		}
		if !it.begun {
			if o.Epochs > 0 && it.state.Epoch >= o.Epochs {
				return nil, nil
			}
			it.begin()
		}
		rest := len(it.queue) - it.state.Item
		if rest == 0 || rest < o.BatchSize && o.DropLast {
			it.state.Counts.Dropped += rest
			it.state.Examples += rest // the reference counts them all the same
			it.state.Epoch++
			it.state.Item = 0
			it.begun = false
			continue
		}
		n := min(rest, o.BatchSize)
		batch := make([]Example, 0, n)
		counts := it.state.Counts
		for _, p := range it.queue[it.state.Item : it.state.Item+n] {
			e, err := it.example(p)
			if err != nil {
				return nil, err
			}
			if e.Truncated {
				counts.Truncated++
			}
			if e.LostEOS {
				counts.LostEOS++
			}
			batch = append(batch, e)
		}
		it.state.Counts = counts
		it.state.Item += n
		it.state.Examples += n
		it.state.Done = o.Examples > 0 && it.state.Examples >= o.Examples
		return batch, nil
	}
}

func (it *Iterator) example(p pending) (Example, error) {
	chosen, rejected, row := p.prompt.SFTTarget, p.prompt.SFTTarget, p.prompt.Row
	if p.pair >= 0 {
		pair := p.prompt.Pairs[p.pair]
		chosen, rejected = p.prompt.Responses[pair[0]], p.prompt.Responses[pair[1]]
		if p.pair < len(p.prompt.PairRows) {
			row = p.prompt.PairRows[p.pair]
		}
	}
	e, err := it.tok.Tokenize(p.prompt.Text, chosen, rejected, p.set.Truncation, it.options.Limits)
	if err != nil {
		return e, fmt.Errorf("data: %s: %s: %w", p.set.Name, row, err)
	}
	e.Row = row
	return e, nil
}

// Dropped, Truncated and LostEOS count examples so far: left out at the end of
// an epoch, with a cut prompt, with a response cut before its EOS.
func (it *Iterator) Dropped() int   { return it.state.Counts.Dropped }
func (it *Iterator) Truncated() int { return it.state.Counts.Truncated }
func (it *Iterator) LostEOS() int   { return it.state.Counts.LostEOS }

// digest identifies what decides the order of examples.
func (it *Iterator) digest() string {
	if it.order != "" {
		return it.order
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %v %v", it.options.Seed, it.options.Shuffle, it.options.SFT)
	var n [8]byte
	number := func(v int) {
		binary.LittleEndian.PutUint64(n[:], uint64(v))
		h.Write(n[:])
	}
	text := func(s string) {
		number(len(s))
		io.WriteString(h, s)
	}
	for _, set := range it.sets {
		number(len(set.Prompts))
		for _, p := range set.Prompts {
			text(p.Text)
			text(p.SFTTarget)
			number(len(p.Responses))
			for _, r := range p.Responses {
				text(r)
			}
			number(len(p.Pairs))
			for _, pair := range p.Pairs {
				number(pair[0])
				number(pair[1])
			}
		}
	}
	it.order = hex.EncodeToString(h.Sum(nil)[:16])
	return it.order
}

// State returns the position before the next batch.
func (it *Iterator) State() State {
	s := it.state
	s.Order = it.digest()
	return s
}

// Restore goes to a position that State returned. The order of examples must
// be the same: the same data and seed; batch size and limits may change.
func (it *Iterator) Restore(s State) error {
	if s != (State{}) && s.Order != it.digest() {
		return fmt.Errorf("data: the position to continue from belongs to other data, another seed or another mode (order %.8s, want %.8s)", s.Order, it.digest())
	}
	if s.Epoch < 0 || s.Item < 0 || s.Item > it.perEpoch() {
		return fmt.Errorf("data: no position %d in epoch %d of %d examples", s.Item, s.Epoch, it.perEpoch())
	}
	it.reset()
	for range s.Epoch {
		it.begin()
	}
	it.begun = false
	if s.Item > 0 {
		it.begin()
	}
	it.state = s
	return nil
}
