// Package blocks cuts segments of memory into the blocks that an allocator
// hands out, and joins those that come back with their free neighbours. It
// never looks at the memory itself.
package blocks

import (
	"cmp"
	"math/bits"
	"slices"
)

// Block is a run of bytes in a segment, in use or free.
type Block[Note any] struct {
	At   uintptr
	Size int
	// Note is what the allocator wants to know of a block in use.
	Note       Note
	inUse      bool
	prev, next *Block[Note] // neighbours in the segment
}

// Pool is a set of segments whose blocks are alike.
type Pool[Note any] struct {
	least int
	free  []*Block[Note] // by size, then address
	spare []*Block[Note] // blocks that were joined to others
}

// NewPool returns a pool without memory. What is left of a block after cutting
// stays with it if it is smaller than least.
func NewPool[Note any](least int) *Pool[Note] { return &Pool[Note]{least: least} }

// Round rounds a size up to a multiple of unit, and to one of eight sizes for
// each power of two: requests that differ a little then fit the same blocks.
func Round(n, unit int) int {
	step := max(unit, 1<<max(bits.Len(uint(max(n, 1)-1))-4, 0))
	return max((n+step-1)/step, 1) * step
}

func order[Note any](x, y *Block[Note]) int {
	return cmp.Or(cmp.Compare(x.Size, y.Size), cmp.Compare(x.At, y.At))
}

// Take returns a block of want bytes, or a little more, cut from the smallest
// free one that is large enough; nil if there is none.
func (p *Pool[Note]) Take(want int) *Block[Note] {
	i, _ := slices.BinarySearchFunc(p.free, want, func(b *Block[Note], want int) int { return cmp.Compare(b.Size, want) })
	if i == len(p.free) {
		return nil
	}
	b := p.free[i]
	p.free = slices.Delete(p.free, i, i+1)
	p.cut(b, want)
	return b
}

// Add gives the pool a segment and returns its first want bytes.
func (p *Pool[Note]) Add(at uintptr, size, want int) *Block[Note] {
	b := p.newBlock()
	b.At, b.Size = at, size
	p.cut(b, want)
	return b
}

// cut marks a block as used, but for what of it is beyond want.
func (p *Pool[Note]) cut(b *Block[Note], want int) {
	b.inUse = true
	if b.Size-want < p.least {
		return
	}
	rest := p.newBlock()
	rest.At, rest.Size, rest.prev, rest.next = b.At+uintptr(want), b.Size-want, b, b.next
	if b.next != nil {
		b.next.prev = rest
	}
	b.next, b.Size = rest, want
	p.file(rest)
}

// PutBack frees a block, which the caller must not use any more.
func (p *Pool[Note]) PutBack(b *Block[Note]) {
	var none Note
	b.inUse, b.Note = false, none
	if next := b.next; next != nil && !next.inUse {
		p.unfile(next)
		p.join(b, next)
	}
	if prev := b.prev; prev != nil && !prev.inUse {
		p.unfile(prev)
		p.join(prev, b)
		b = prev
	}
	p.file(b)
}

// join adds the block that follows b to it.
func (p *Pool[Note]) join(b, next *Block[Note]) {
	b.Size += next.Size
	b.next = next.next
	if b.next != nil {
		b.next.prev = b
	}
	*next = Block[Note]{}
	p.spare = append(p.spare, next)
}

func (p *Pool[Note]) newBlock() *Block[Note] {
	if n := len(p.spare); n > 0 {
		b := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return b
	}
	return &Block[Note]{}
}

// file puts a block among the free ones, unfile takes it out.
func (p *Pool[Note]) file(b *Block[Note]) {
	i, _ := slices.BinarySearchFunc(p.free, b, order[Note])
	p.free = slices.Insert(p.free, i, b)
}

func (p *Pool[Note]) unfile(b *Block[Note]) {
	i, _ := slices.BinarySearchFunc(p.free, b, order[Note])
	p.free = slices.Delete(p.free, i, i+1)
}

// Trim hands the segments that are wholly free over to release.
func (p *Pool[Note]) Trim(release func(at uintptr, size int)) {
	p.free = slices.DeleteFunc(p.free, func(b *Block[Note]) bool {
		whole := b.prev == nil && b.next == nil
		if whole {
			release(b.At, b.Size)
		}
		return whole
	})
}
