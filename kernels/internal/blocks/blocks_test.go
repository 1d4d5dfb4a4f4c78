package blocks

import (
	"math/rand/v2"
	"testing"
)

// TestPool takes and puts back at random. Blocks in use must lie inside a
// segment, apart from each other, and when all are back, each segment must be
// whole again.
func TestPool(t *testing.T) {
	const segment, least = 1 << 16, 256
	rng := rand.New(rand.NewPCG(1, 2))
	p := NewPool[int](least)
	owner := map[uintptr]int{} // of each unit of 64 bytes
	var held []*Block[int]
	segments := 0
	paint := func(b *Block[int], from, to int) {
		for at := b.At; at < b.At+uintptr(b.Size); at += 64 {
			if owner[at] != from {
				t.Fatalf("the byte at %#x of a block of %d belongs to %d, want %d", at, b.Size, owner[at], from)
			}
			owner[at] = to
		}
	}
	for step := 1; step < 5000; step++ {
		if len(held) > 0 && rng.IntN(5) < 2 || len(held) > 80 {
			i := rng.IntN(len(held))
			b := held[i]
			paint(b, b.Note, 0)
			p.PutBack(b)
			held[i] = held[len(held)-1]
			held = held[:len(held)-1]
			continue
		}
		want := Round(1+rng.IntN(1<<rng.IntN(15)), 64)
		b := p.Take(want)
		if b == nil {
			segments++
			b = p.Add(uintptr(segments)<<32, segment, want)
		}
		if b.Size < want || b.Size >= want+least {
			t.Fatalf("a block of %d bytes, want %d and less than %d more", b.Size, want, least)
		}
		if b.At%(1<<32)+uintptr(b.Size) > segment {
			t.Fatalf("a block of %d at %#x leaves its segment", b.Size, b.At)
		}
		b.Note = step
		paint(b, 0, step)
		held = append(held, b)
	}
	p.Trim(func(at uintptr, size int) { segments-- })
	for _, b := range held {
		paint(b, b.Note, 0)
		p.PutBack(b)
	}
	p.Trim(func(at uintptr, size int) {
		segments--
		if at%(1<<32) != 0 || size != segment {
			t.Errorf("%d bytes at %#x came back as a segment", size, at)
		}
	})
	if segments != 0 {
		t.Errorf("%d segments are in pieces though all blocks are back", segments)
	}
	if b := p.Take(1); b != nil {
		t.Errorf("a block of %d bytes out of no memory", b.Size)
	}
}

// TestBestFit: a request takes the smallest block that holds it, so that large
// ones stay whole for large requests.
func TestBestFit(t *testing.T) {
	p := NewPool[struct{}](64)
	var parts []*Block[struct{}]
	for i, size := range []int{512, 128, 256, 128} {
		parts = append(parts, p.Add(uintptr(i)<<20, size, size))
	}
	for _, b := range parts {
		p.PutBack(b)
	}
	for _, c := range []struct{ want, at int }{{192, 2}, {128, 1}, {128, 3}, {128, 0}} {
		if b := p.Take(c.want); b.At != uintptr(c.at)<<20 {
			t.Errorf("%d bytes from segment %d, want %d", c.want, b.At>>20, c.at)
		}
	}
}

func TestRound(t *testing.T) {
	for _, c := range []struct{ n, unit, want int }{
		{0, 64, 64}, {1, 64, 64}, {64, 64, 64}, {65, 64, 128}, {1000, 64, 1024}, {1025, 64, 1152}, {1 << 20, 512, 1 << 20}, {1<<20 + 1, 512, 9 << 17},
	} {
		if got := Round(c.n, c.unit); got != c.want {
			t.Errorf("%d bytes in units of %d: %d, want %d", c.n, c.unit, got, c.want)
		}
	}
}
