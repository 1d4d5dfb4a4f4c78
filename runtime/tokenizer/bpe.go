package tokenizer

import (
	"container/heap"
	"fmt"
)

// bpe is byte-pair encoding over a vocabulary with ranked merges.
type bpe struct {
	vocab        map[string]int32
	ranks        map[[2]int32]merge
	byteLevel    bool // pieces are bytes spelled in GPT-2's alphabet
	byteFallback bool // unknown characters become <0xNN> tokens
	ignoreMerges bool // a piece that is a token is that token
	unk          int32
	fuseUnk      bool
	bytes        [256]int32 // ids of single bytes, byte-level or fallback
}

// merge is the rank of a pair and the token it makes.
type merge struct {
	rank int
	id   int32
}

// addMerges ranks the pairs in order.
func (m *bpe) addMerges(pairs [][2]string) error {
	m.ranks = make(map[[2]int32]merge, len(pairs))
	for rank, p := range pairs {
		var ids [2]int32
		for i, part := range p {
			id, ok := m.vocab[part]
			if !ok {
				return fmt.Errorf("merge %d: token %q is not in the vocabulary", rank, part)
			}
			ids[i] = id
		}
		id, ok := m.vocab[p[0]+p[1]]
		if !ok {
			return fmt.Errorf("merge %d: %q and %q make %q, which is not in the vocabulary", rank, p[0], p[1], p[0]+p[1])
		}
		if _, twice := m.ranks[ids]; !twice {
			m.ranks[ids] = merge{rank, id}
		}
	}
	return nil
}

// symbol is a token of a piece being merged, in a doubly linked list.
type symbol struct {
	id         int32
	prev, next int
	dead       bool
}

// candidate is a pair that may be merged; left and the two ids tell whether it
// is still there.
type candidate struct {
	rank, left int
	ids        [2]int32
	id         int32
}

type candidates []candidate

func (c candidates) Len() int { return len(c) }
func (c candidates) Less(i, j int) bool {
	return c[i].rank < c[j].rank || c[i].rank == c[j].rank && c[i].left < c[j].left
}
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)   { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// encode appends the ids of one piece.
func (m *bpe) encode(ids []int32, piece string) []int32 {
	if m.ignoreMerges {
		spelled := piece
		if m.byteLevel {
			spelled = spell(piece)
		}
		if id, ok := m.vocab[spelled]; ok {
			return append(ids, id)
		}
	}
	symbols := m.symbols(piece)
	if len(symbols) < 2 {
		for _, s := range symbols {
			ids = append(ids, s.id)
		}
		return ids
	}
	var queue candidates
	consider := func(left int) {
		right := symbols[left].next
		if right < 0 {
			return
		}
		pair := [2]int32{symbols[left].id, symbols[right].id}
		if mg, ok := m.ranks[pair]; ok {
			heap.Push(&queue, candidate{mg.rank, left, pair, mg.id})
		}
	}
	for i := range symbols {
		consider(i)
	}
	for len(queue) > 0 {
		c := heap.Pop(&queue).(candidate)
		l := &symbols[c.left]
		if l.dead || l.id != c.ids[0] || l.next < 0 || symbols[l.next].id != c.ids[1] {
			continue
		}
		r := &symbols[l.next]
		l.id, l.next, r.dead = c.id, r.next, true
		if l.next >= 0 {
			symbols[l.next].prev = c.left
		}
		if l.prev >= 0 {
			consider(l.prev)
		}
		consider(c.left)
	}
	for i := 0; i >= 0; i = symbols[i].next {
		ids = append(ids, symbols[i].id)
	}
	return ids
}

// symbols cuts a piece into the tokens that merging starts from.
func (m *bpe) symbols(piece string) []symbol {
	out := make([]symbol, 0, len(piece))
	add := func(id int32) {
		out = append(out, symbol{id: id, prev: len(out) - 1, next: len(out) + 1})
	}
	unknown := false
	if m.byteLevel {
		for i := range len(piece) {
			if id := m.bytes[piece[i]]; id >= 0 {
				add(id)
				unknown = false
			} else if m.unk >= 0 && !(unknown && m.fuseUnk) {
				add(m.unk)
				unknown = true
			}
		}
	} else {
		for _, r := range piece {
			c := string(r)
			if id, ok := m.vocab[c]; ok {
				add(id)
				unknown = false
				continue
			}
			if m.byteFallback && m.hasBytes(c) {
				for i := range len(c) {
					add(m.bytes[c[i]])
				}
				unknown = false
				continue
			}
			if m.unk >= 0 && !(unknown && m.fuseUnk) {
				add(m.unk)
				unknown = true
			}
		}
	}
	if len(out) > 0 {
		out[len(out)-1].next = -1
	}
	return out
}

func (m *bpe) hasBytes(c string) bool {
	for i := range len(c) {
		if m.bytes[c[i]] < 0 {
			return false
		}
	}
	return true
}
