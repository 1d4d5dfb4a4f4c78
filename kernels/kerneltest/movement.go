package kerneltest

import (
	"fmt"
	"slices"

	"dpolab/kernels/dtype"
)

// moves are index spaces with the strides of destination and source; a source
// has 12000 elements.
var moves = []struct {
	name             string
	shape, to, from  []int
	skipTo, skipFrom int
}{
	{"permute", []int{10, 20, 60}, []int{1200, 60, 1}, []int{60, 600, 1}, 0, 0},
	{"transpose", []int{20, 600}, []int{600, 1}, []int{1, 20}, 0, 0},
	{"reverse axes", []int{10, 20, 60}, []int{1, 10, 200}, []int{1200, 60, 1}, 0, 0},
	{"slice columns", []int{40, 7}, []int{7, 1}, []int{300, 1}, 0, 13},
	{"into columns", []int{50, 7}, []int{100, 1}, []int{7, 1}, 5, 0},
	{"broadcast rows", []int{50, 7}, []int{100, 1}, []int{0, 1}, 5, 0},
	{"broadcast one", []int{120, 100}, []int{100, 1}, []int{0, 0}, 0, 11},
	{"heads to the front", []int{5, 4, 6, 10, 10}, []int{2400, 600, 100, 10, 1}, []int{2400, 100, 400, 10, 1}, 0, 0},
	{"whole", []int{12000}, []int{1}, []int{1}, 0, 0},
	{"every second", []int{6000}, []int{1}, []int{2}, 0, 1},
	{"unit axes", []int{1, 65, 1, 3}, []int{7, 3, 9, 1}, []int{1, 1, 0, 65}, 1, 1},
	{"no axes", nil, nil, nil, 3, 4},
	{"empty", []int{3, 0, 4}, []int{4, 4, 1}, []int{4, 4, 1}, 0, 0},
}

func movementCases() []Case {
	var out []Case
	for _, dt := range allTypes {
		out = append(out, Case{Name: "copy_strided/" + dt.String(), Run: func(x *Rig) {
			src := x.Empty(dt, 12000)
			x.Set(src, func(i int) float64 { return float64(i % 251) })
			for _, m := range moves {
				dst := x.Empty(dt, 12000)
				x.Set(dst, func(i int) float64 { return -1 })
				x.CopyStrided(dst.Slice(m.skipTo, dst.Len), src.Slice(m.skipFrom, src.Len), m.shape, m.to, m.from)
				x.Result(m.name, dst, exact)
			}
		}}, Case{Name: "gather/" + dt.String(), Run: func(x *Rig) {
			for _, width := range []int{1, 7, 64, 333} {
				for _, n := range []int{0, 1, 65, 400} {
					src, dst := x.Empty(dt, 50*width), x.Empty(dt, n*width)
					x.Set(src, func(i int) float64 { return float64(i % 251) })
					x.Gather(dst, src, x.Indices(n, 50), width)
					x.Result(fmt.Sprint(n, " of ", width), dst, exact)
				}
			}
		}})
	}
	for _, p := range palettes() {
		out = append(out, Case{Name: "scatter_add/" + p.String(), Run: func(x *Rig) {
			for _, s := range [][3]int{{20, 500, 100}, {20, 500, 1}, {3, 700, 65}, {50, 1, 7}, {5, 0, 8}} {
				rows, n, width := s[0], s[1], s[2]
				dst, src, index := x.Normal(p.at(0), rows*width), x.Normal(p.at(1), n*width), x.Indices(n, rows)
				x.ScatterAdd(dst, src, index, width)
				x.Result(fmt.Sprint(s), dst, sum(n, 0))
			}
			// All into one row: the sum is one, whoever computes it.
			same := x.Empty(dtype.Int32, 300)
			x.Set(same, func(int) float64 { return 2 })
			dst := x.Normal(p.at(0), 4*130)
			x.ScatterAdd(dst, x.Normal(p.at(1), 300*130), same, 130)
			x.Result("one row", dst, sum(300, 0))
		}})
	}
	return append(out, Case{Name: "scatter_add/against gather", Run: func(x *Rig) {
		// Adding whole numbers is exact, so the result is known without a reference.
		for _, dt := range floatTypes {
			const rows, n, width = 9, 100, 33
			src, index := x.Integers(dt, n*width, 1), x.Indices(n, rows)
			dst := x.Integers(dt, rows*width, 3)
			want := slices.Clone(x.Read(dst))
			values := x.Read(src)
			for i, r := range x.Read(index) {
				for j := range width {
					want[int(r)*width+j] += values[i*width+j]
				}
			}
			x.ScatterAdd(dst, src, index, width)
			x.Expect("sums", dst, want, exact)
			x.Result("sums", dst, exact)
		}
	}})
}
