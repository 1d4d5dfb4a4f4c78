package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// headLayout places heads in rows as models leave them.
type headLayout struct {
	name   string
	parts  int  // arrays fused in a row: queries, keys and values
	within bool // they take turns head by head (GPT-NeoX), not block by block (GPT-2)
}

var headLayouts = []headLayout{
	{"separate", 1, false},
	{"thirds", 3, false},
	{"interleaved", 3, true},
}

// size is the elements of rows of heads in this layout.
func (l headLayout) size(rows, heads, dim int) int { return rows * l.parts * heads * dim }

// index is where a head of a part begins.
func (l headLayout) index(row, part, head, heads, dim int) int {
	if l.within {
		return ((row*heads+head)*l.parts + part) * dim
	}
	return ((row*l.parts+part)*heads + head) * dim
}

// view is one part's heads.
func (l headLayout) view(a kernels.Array, part, heads, dim int) kernels.Heads {
	first := min(l.index(0, part, 0, heads, dim), a.Len) // no rows, no first
	return kernels.Heads{Array: a.Slice(first, a.Len), Row: l.parts * heads * dim, Head: l.index(0, 0, 1, heads, dim)}
}

func rotaryCases() []Case {
	var out []Case
	for _, p := range palettes() {
		for _, layout := range headLayouts {
			out = append(out, Case{Name: fmt.Sprintf("rotary/%s/%s", layout.name, p), Needs: has[kernels.Rotary], Run: func(x *Rig) { rotary(x, layout, p) }})
		}
	}
	return out
}

func rotary(x *Rig, layout headLayout, p palette) {
	fused := x.Backend.(kernels.Rotary)
	const positions = 40
	for _, s := range [][4]int{{301, 3, 8, 8}, {301, 3, 8, 6}, {7, 1, 8, 2}, {7, 2, 10, 0}, {600, 4, 64, 64}, {5, 2, 80, 20}, {0, 2, 8, 8}} {
		rows, heads, dim, turned := s[0], s[1], s[2], s[3]
		if rows == 600 && !p.pure() {
			continue
		}
		half := turned / 2
		cos, sin := x.Empty(p.at(2), positions*half), x.Empty(p.at(2), positions*half)
		angle := func(i int) float64 { return float64(i/half) * math.Pow(10000, -float64(i%half)/float64(half)) }
		x.Set(cos, func(i int) float64 { return math.Cos(angle(i)) })
		x.Set(sin, func(i int) float64 { return math.Sin(angle(i)) })
		args := &kernels.RotaryArgs{Rows: rows, NumHeads: heads, HeadDim: dim, Dim: turned, Cos: cos, Sin: sin, Positions: x.Indices(rows, positions)}
		in := x.Normal(p.at(0), layout.size(rows, heads, dim))
		turnedBack := x.Normal(p.at(0), layout.size(rows, heads, dim))
		y := x.Empty(p.at(1), rows*heads*dim)
		plain := headLayouts[0].view(y, 0, heads, dim)
		part := layout.parts / 2
		fused.Rotary(plain, layout.view(in, part, heads, dim), args)
		x.Result(fmt.Sprint("y ", s), y, sum(4, 5))
		// The other parts of a fused row are in turnedBack too, and must stay.
		fused.RotaryGrad(layout.view(turnedBack, part, heads, dim), plain, args)
		x.Result(fmt.Sprint("dx ", s), turnedBack, sum(4, 8))
		if part > 0 {
			fused.Rotary(layout.view(in, 0, heads, dim), layout.view(in, 1, heads, dim), args)
			x.Result(fmt.Sprint("from part to part ", s), in, sum(4, 5))
		}
	}
	if dt := dtype.Float32; p.pure() && p.at(0) == dt {
		// A quarter turn maps (a, b) to (-b, a), whoever computes it.
		args := &kernels.RotaryArgs{Rows: 1, NumHeads: 1, HeadDim: 5, Dim: 4, Cos: x.Values(dt, 9, 9, 0, 0), Sin: x.Values(dt, 9, 9, 1, 1), Positions: x.Values(dtype.Int32, 1)}
		y := kernels.Heads{Array: x.Empty(dt, 5), Row: 5, Head: 5}
		fused.Rotary(y, kernels.Heads{Array: x.Values(dt, 1, 2, 3, 4, 5), Row: 5, Head: 5}, args)
		x.Expect("quarter turn", y.Array, []float64{-3, -4, 1, 2, 5}, exact)
	}
}
