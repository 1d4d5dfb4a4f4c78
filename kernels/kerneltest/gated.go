package kerneltest

import (
	"math"

	"dpolab/kernels"
)

func gatedCases() []Case {
	var out []Case
	for _, p := range palettes() {
		out = append(out, Case{Name: "swiglu/" + p.String(), Needs: has[kernels.Gated], Run: func(x *Rig) {
			fused := x.Backend.(kernels.Gated)
			for _, n := range sizesOf(p) {
				gate, up, y := x.Spread(p.at(0), n, 2), x.Normal(p.at(1), n), x.Empty(p.at(2), n)
				fused.SwiGLU(y, gate, up)
				x.Result("y", y, rounded(8))
				dy, dgate, dup := x.Normal(p.at(1), n), x.Empty(p.at(0), n), x.Empty(p.at(2), n)
				fused.SwiGLUGrad(dgate, dup, dy, gate, up)
				g, u, d := x.Read(gate), x.Read(up), x.Read(dy)
				of := make([]float64, n)
				for i := range of {
					of[i] = d[i] * u[i] * (1 + math.Abs(g[i]))
				}
				x.Result("dgate", dgate, roundedOf(16, of))
				x.Result("dup", dup, rounded(8))
			}
			gate := x.Values(p.at(0), 0, 100, -100, math.Inf(1), math.NaN(), 1)
			up := x.Values(p.at(1), 1, 2, 2, 1, 1, math.NaN())
			y := x.Empty(p.at(2), 6)
			fused.SwiGLU(y, gate, up)
			x.Result("special values", y, rounded(8))
		}})
	}
	return out
}
