package data

import "fmt"

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
	// does; without it the batch is delivered short.
	DropLast bool
}

// DefaultOptions are the reference's.
func DefaultOptions() Options {
	return Options{BatchSize: 1, Limits: Limits{512, 128}, Shuffle: true, DropLast: true, Epochs: 1}
}

// State is a position between two batches.
type State struct {
	Epoch    int  `json:"epoch"`    // epochs begun before this one
	Item     int  `json:"item"`     // items of this epoch's order used
	Examples int  `json:"examples"` // delivered or dropped in all
	Done     bool `json:"done"`     // enough examples were delivered
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
	seeds   *mersenne
	queue   []pending // the rest of this epoch, flattened
	state   State
	begun   bool
	dropped int
	cut     int
	lostEOS int
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
		return nil, fmt.Errorf("data: batch size %d", o.BatchSize)
	}
	if o.Epochs == 0 && o.Examples == 0 {
		return nil, fmt.Errorf("data: neither epochs nor examples limit the iteration")
	}
	if n := it.perEpoch(); n == 0 || o.DropLast && n < o.BatchSize {
		return nil, fmt.Errorf("data: %d examples do not fill a batch of %d", n, o.BatchSize)
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
	it.queue, it.state, it.begun, it.dropped = nil, State{}, false, 0
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

// Total is the number of examples that will be delivered.
func (it *Iterator) Total() int {
	per, b := it.perEpoch(), it.options.BatchSize
	if it.options.DropLast {
		per -= per % b
	}
	total := it.options.Epochs * per
	if n := it.options.Examples; n > 0 {
		n = (n + b - 1) / b * b // noticed when a batch is complete
		if it.options.Epochs == 0 || n < total {
			total = n
		}
	}
	return total
}

// begin starts the next epoch.
func (it *Iterator) begin() {
	if it.options.Shuffle {
		r := pythonSeed(uint64(it.seeds.uint32()))
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
			it.dropped += rest
			it.state.Examples += rest // the reference counts them all the same
			it.state.Epoch++
			it.state.Item = 0
			it.begun = false
			continue
		}
		n := min(rest, o.BatchSize)
		batch := make([]Example, 0, n)
		for _, p := range it.queue[it.state.Item : it.state.Item+n] {
			e, err := it.example(p)
			if err != nil {
				return nil, err
			}
			batch = append(batch, e)
		}
		it.state.Item += n
		it.state.Examples += n
		it.state.Done = o.Examples > 0 && it.state.Examples >= o.Examples
		return batch, nil
	}
}

func (it *Iterator) example(p pending) (Example, error) {
	chosen, rejected := p.prompt.SFTTarget, p.prompt.SFTTarget
	if p.pair >= 0 {
		pair := p.prompt.Pairs[p.pair]
		chosen, rejected = p.prompt.Responses[pair[0]], p.prompt.Responses[pair[1]]
	}
	e, err := it.tok.Tokenize(p.prompt.Text, chosen, rejected, p.set.Truncation, it.options.Limits)
	if err != nil {
		return e, fmt.Errorf("data: %s: %w", p.prompt.Row, err)
	}
	e.Row = p.prompt.Row
	if e.Truncated {
		it.cut++
	}
	if e.LostEOS {
		it.lostEOS++
	}
	return e, nil
}

// Dropped, Truncated and LostEOS count examples so far: left out at the end of
// an epoch, with a cut prompt, with a response cut before its EOS.
func (it *Iterator) Dropped() int   { return it.dropped }
func (it *Iterator) Truncated() int { return it.cut }
func (it *Iterator) LostEOS() int   { return it.lostEOS }

// State returns the position before the next batch.
func (it *Iterator) State() State { return it.state }

// Restore goes to a position that State returned, for the same data and
// options.
func (it *Iterator) Restore(s State) error {
	it.reset()
	for range s.Epoch {
		it.begin()
	}
	it.begun = false
	if s.Item > 0 {
		it.begin()
		if s.Item > len(it.queue) {
			return fmt.Errorf("data: position %d of an epoch of %d examples: other data than the checkpoint's", s.Item, len(it.queue))
		}
	}
	it.state = s
	return nil
}
