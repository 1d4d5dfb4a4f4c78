package kerneltest

import (
	"dpolab/kernels/dtype"
)

func movementCases() []Case {
	var out []Case
	for _, dt := range append([]dtype.DType{dtype.Int32, dtype.Int64}, floatTypes...) {
		out = append(out, Case{Name: "copy_strided/" + dt.String(), Run: func(x *Bench) {
			src, dst := x.Empty(dt, 6000), x.Empty(dt, 6000)
			x.Set(src, func(i int) float64 { return float64(i % 97) })
			x.Set(dst, func(i int) float64 { return -1 })
			x.CopyStrided(dst, src, []int{10, 20, 30}, []int{600, 30, 1}, []int{30, 300, 1})
			x.Result("permute", dst)
			x.CopyStrided(dst, src, []int{20, 300}, []int{300, 1}, []int{1, 20})
			x.Result("transpose", dst)
			x.CopyStrided(dst.Slice(5, 6000), src, []int{50, 7}, []int{100, 1}, []int{0, 1})
			x.Result("broadcast into columns", dst)
			x.CopyStrided(dst, src, nil, nil, nil)
			x.Result("scalar", dst)
		}}, Case{Name: "gather/" + dt.String(), Run: func(x *Bench) {
			src, index := x.Empty(dt, 50*33), x.Indices(400, 50)
			x.Set(src, func(i int) float64 { return float64(i % 89) })
			dst := x.Empty(dt, 400*33)
			x.Gather(dst, src, index, 33)
			x.Result("rows", dst)
		}})
	}
	for _, dt := range floatTypes {
		for _, from := range floatTypes {
			out = append(out, Case{Name: "scatter_add/" + from.String() + " to " + dt.String(), Run: func(x *Bench) {
				dst, src := x.Normal(dt, 20*700), x.Normal(from, 500*700)
				x.ScatterAdd(dst, src, x.Indices(500, 20), 700)
				x.Result("sums", dst)
			}})
		}
	}
	return out
}
