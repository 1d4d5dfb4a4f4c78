package cpu

// #include "cpu.h"
import "C"

import (
	"sync/atomic"

	"dpolab/kernels"
)

// gemmGrain is the least number of multiplications worth a thread of its own.
const gemmGrain = 1 << 18

// fewRows is the most rows for which dot products beat packing.
const fewRows = 4

// packedWords is how much of B is packed at a time: 4 MB, a part of the
// third-level cache that other programs leave. With few rows to meet it, twice
// that: there is less to share out among the threads after each packing.
func packedWords(rows int) int {
	if rows < 512 {
		return 1 << 21
	}
	return 1 << 20
}

// blockTiles is how many register tiles make a block of rows of A: RB of
// body_gemm.h.
const blockTiles = 24

func (b *Backend) Gemm(g *kernels.GemmArgs) {
	batch := max(g.Batch, 1)
	if g.M == 0 || g.N == 0 {
		return
	}
	work := g.M * g.N * max(g.K, 1)
	if batch > 1 && (batch >= b.threads || work < gemmGrain) {
		b.parallel(batch, max(1, gemmGrain/work), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				b.product(g, i, 1)
			}
		})
		return
	}
	threads := min(b.threads, (work+gemmGrain-1)/gemmGrain)
	for i := range batch {
		b.product(g, i, threads)
	}
}

// product computes product i of a batch. Every element of C is summed by one
// thread over all of K, in the same order wherever the cuts fall.
func (b *Backend) product(g *kernels.GemmArgs, i, threads int) {
	w := b.way(g)
	nr := int(w.nr)
	if g.M <= fewRows && !g.TransA && g.TransB {
		args := b.lowerGemm(g, i, 0, g.N)
		units := (g.N + nr - 1) / nr
		b.ranges(units, threads, func(lo, hi int) {
			C.call_gemm_few(b.ops, &args, C.int64_t(lo*nr), C.int64_t(min(hi*nr, g.N)))
		})
		return
	}
	depth := w.depth(g)
	words := packedWords(g.M)
	chunks := (g.N*depth + words - 1) / words
	cols := roundUp((g.N+max(chunks, 1)-1)/max(chunks, 1), nr)
	cols = min(cols, max(words/max(depth, 1)/nr*nr, nr))
	for j := 0; j < g.N; j += cols {
		if w.blocks != 0 {
			b.quantised(w, g, i, j, min(j+cols, g.N), threads)
		} else {
			b.columns(w, g, i, j, min(j+cols, g.N), threads)
		}
	}
}

// columns computes columns [j0, j1) of a product: all threads pack B, then
// each takes blocks of rows of A.
func (b *Backend) columns(w *way, g *kernels.GemmArgs, i, j0, j1, threads int) {
	mr, nr, depth, n := int(w.mr), int(w.nr), w.depth(g), j1-j0
	args := b.lowerGemm(g, i, j0, n)
	if w.pairs != 0 {
		args.a._type, args.b._type = C.PAIRS, C.PAIRS
	}
	panels := (n + nr - 1) / nr
	panelled := b.must("gemm", 4*(panels*nr*depth+nr))
	defer b.Free(panelled)
	args.pb = (*C.float)(panelled)
	parts := cut(g.M, n, depth, threads, mr, nr)
	// In one run: to end one and begin another costs more than packing.
	stretch := roundUp((n+4*threads-1)/(4*threads), nr)
	packs := (n + stretch - 1) / stretch
	var pack, multiply line
	var packed atomic.Int64
	b.run(threads, func(_ int, turn *turn) {
		for t := pack.next(turn, packs); t >= 0; t = pack.next(turn, packs) {
			C.call_gemm_pack(w.c(), &args, C.int64_t(t*stretch), C.int64_t(min((t+1)*stretch, n)))
			packed.Add(1)
		}
		await(&packed, packs)
		withScratch(func(pa *C.float) {
			for t := multiply.next(turn, parts.count()); t >= 0; t = multiply.next(turn, parts.count()) {
				i0, i1, c0, c1 := parts.at(t)
				C.call_gemm_rows(w.c(), &args, C.int64_t(i0), C.int64_t(min(i1, g.M)), C.int64_t(c0), C.int64_t(min(c1, n)), pa)
			}
		})
	})
}

// parts are what a product's threads take in turn: blocks of rows, each cut
// along its columns. Every part packs its rows of A anew, so most of the columns
// go out in wide parts, and the last in narrow ones that bring the threads to
// one end. Sizes differ by one tile at most: threads that nothing disturbs end
// together. For those that are disturbed, the last parts are cut along their rows
// once more.
type parts struct {
	mr, nr        int // rows and columns of a tile
	tiles, panels int // of rows, of columns
	blocks, cuts  int
	wide          int // parts of together cuts in each block
	ends          int // last parts that are cut into shares
}

const (
	// partsPerThread is how many parts there are for a thread, if possible.
	partsPerThread = 12
	// together is how many cuts a wide part has.
	together = 3
	// endsPerThread is how many of a thread's parts, the last, are cut, and
	// shares into how many.
	endsPerThread, shares = 2, 3
	// leastTiles and leastPanels are the least that a cut leaves together:
	// below that, blocks are used too seldom for what it takes to read them.
	leastTiles, leastPanels = 8, 4
)

// cut cuts m rows and n columns. Rows come first, since A is packed once then.
func cut(m, n, depth, threads, mr, nr int) parts {
	p := parts{mr: mr, nr: nr, tiles: (m + mr - 1) / mr, panels: (n + nr - 1) / nr, cuts: 1}
	want := 1
	if threads > 1 {
		want = partsPerThread * threads
	}
	p.blocks = max(min(want, p.tiles/leastTiles), (p.tiles+blockTiles-1)/blockTiles)
	if p.blocks > threads {
		p.blocks = roundUp(p.blocks, threads)
	}
	p.blocks = min(p.blocks, p.tiles)
	if most := p.panels / leastPanels; p.blocks < want && most > 1 {
		p.cuts = (want + p.blocks/2) / p.blocks
		if p.blocks%threads != 0 {
			p.cuts = roundUp(p.cuts, threads)
		}
		p.cuts = min(p.cuts, most)
	}
	widest := p.panels
	if depth > C.GEMM_DEPTH { // scratch holds a block of A and the sums so far
		widest = (C.GEMM_SCRATCH - C.GEMM_MARGIN - blockTiles*(mr*C.GEMM_DEPTH+C.GEMM_APART)) / (blockTiles * mr) / nr
		p.cuts = max(p.cuts, (p.panels+widest-1)/widest)
	}
	p.wide = p.cuts * 3 / 4 / together
	if (p.panels*together+p.cuts-1)/p.cuts > widest {
		p.wide = 0
	}
	if threads > 1 && p.tiles/p.blocks >= 2*shares {
		p.ends = min(endsPerThread*threads, p.parts())
	}
	return p
}

// narrow is the parts of a block that are no wide ones.
func (p parts) narrow() int { return p.cuts - p.wide*together }

// parts is how many there are before the last are cut.
func (p parts) parts() int { return p.blocks * (p.wide + p.narrow()) }

func (p parts) count() int { return p.parts() + p.ends*(shares-1) }

// at is part t: its rows [i0, i1) and columns [j0, j1), of which the last tiles
// may reach beyond the product.
func (p parts) at(t int) (i0, i1, j0, j1 int) {
	piece, of := 0, 1
	if whole := p.parts() - p.ends; t >= whole {
		piece, of = (t-whole)%shares, shares
		t = whole + (t-whole)/shares
	}
	block, first, last := 0, 0, 0
	if wide := p.blocks * p.wide; t < wide {
		block, first = t/p.wide, t%p.wide*together
		last = first + together
	} else {
		t -= wide
		block, first = t/p.narrow(), p.wide*together+t%p.narrow()
		last = first + 1
	}
	top, bottom := block*p.tiles/p.blocks, (block+1)*p.tiles/p.blocks
	rows := bottom - top
	return (top + piece*rows/of) * p.mr, (top + (piece+1)*rows/of) * p.mr,
		first * p.panels / p.cuts * p.nr, last * p.panels / p.cuts * p.nr
}

// lowerGemm lays columns [j0, j0+n) of product i out for C.
func (b *Backend) lowerGemm(g *kernels.GemmArgs, i, j0, n int) C.gemm_args {
	at := func(a kernels.Array, start int) C.arr { return ctype(a.Slice(min(start, a.Len), a.Len)) }
	b0 := i*g.StrideB + j0
	if g.TransB {
		b0 = i*g.StrideB + j0*g.LDB
	}
	args := C.gemm_args{a: at(g.A, i*g.StrideA), b: at(g.B, b0), c: at(g.C, i*g.StrideC+j0),
		m: C.int64_t(g.M), n: C.int64_t(n), k: C.int64_t(g.K),
		lda: C.int64_t(g.LDA), ldb: C.int64_t(g.LDB), ldc: C.int64_t(g.LDC),
		ta: C.int32_t(flag(g.TransA)), tb: C.int32_t(flag(g.TransB)), alpha: C.float(g.Alpha), beta: C.float(g.Beta)}
	if !g.Bias.IsNil() {
		args.bias = at(g.Bias, j0)
	}
	return args
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
