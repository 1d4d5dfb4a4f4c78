package kerneltest

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

func normCases() []Case {
	var out []Case
	f := dtype.Float32
	for _, dt := range floatTypes {
		out = append(out, Case{Name: "norm/" + dt.String(), Loose: 4, Run: func(x *Bench) {
			fused, ok := x.Backend.(kernels.Norms)
			if !ok {
				return
			}
			for _, s := range [][2]int{{1, 3}, {3, 7}, {600, 70}, {5, 1111}, {0, 8}} {
				rows, cols := s[0], s[1]
				in, w, b, dy := x.Normal(dt, rows*cols), x.Normal(dt, cols), x.Normal(dt, cols), x.Normal(dt, rows*cols)
				y, mean, rstd := x.Empty(dt, rows*cols), x.Empty(f, rows), x.Empty(f, rows)
				for _, bias := range []kernels.Array{b, {}} {
					fused.LayerNorm(y, mean, rstd, in, w, bias, rows, cols, 1e-3)
					x.Result("layer_norm", y)
				}
				dx, dw, db := x.Empty(dt, rows*cols), x.Normal(f, cols), x.Normal(dt, cols)
				fused.LayerNormGrad(dx, dw, db, dy, in, w, mean, rstd, rows, cols)
				x.Result("layer_norm dx", dx)
				x.Result("layer_norm dw", dw)
				x.Result("layer_norm db", db)
				fused.LayerNormGrad(dx, kernels.Array{}, kernels.Array{}, dy, in, w, mean, rstd, rows, cols)
				fused.RMSNorm(y, rstd, in, w, rows, cols, 1e-3)
				x.Result("rms_norm", y)
				fused.RMSNormGrad(dx, dw, dy, in, w, rstd, rows, cols)
				x.Result("rms_norm dx", dx)
				x.Result("rms_norm dw", dw)
			}
		}}, Case{Name: "rotary/" + dt.String(), Run: func(x *Bench) {
			fused, ok := x.Backend.(kernels.Rotary)
			if !ok {
				return
			}
			for _, dim := range []int{8, 6, 2, 0} {
				args := &kernels.RotaryArgs{Rows: 301, NumHeads: 3, HeadDim: 8, Dim: dim, Cos: x.Normal(f, 20*max(dim/2, 1)), Sin: x.Normal(f, 20*max(dim/2, 1)), Positions: x.Indices(301, 20)}
				in := kernels.Heads{Array: x.Normal(dt, 301*72), Row: 72, Head: 24} // interleaved q, k, v
				y := kernels.Heads{Array: x.Empty(dt, 301*24), Row: 24, Head: 8}
				fused.Rotary(y, in, args)
				x.Result(fmt.Sprint("y ", dim), y.Array)
				dx := kernels.Heads{Array: x.Normal(dt, 301*72), Row: 72, Head: 24}
				fused.RotaryGrad(dx, y, args)
				x.Result(fmt.Sprint("dx ", dim), dx.Array)
			}
		}})
	}
	return out
}
