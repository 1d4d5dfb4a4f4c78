package kerneltest

import (
	"fmt"

	"dpolab/kernels"
)

// listCases compare operations on lists with those on one tensor after the
// other, whose bits they have.
func listCases() []Case {
	var out []Case
	for _, p := range palettes() {
		out = append(out, Case{Name: "lists/" + p.String(), Needs: has[kernels.Lists], Run: func(x *Rig) {
			lists := x.Backend.(kernels.Lists)
			var dsts, srcs, apart []kernels.Array
			for i, n := range []int{0, 5, 70001, 1, 64, 0, 300} {
				dsts, apart = append(dsts, x.Empty(p.at(i), n)), append(apart, x.Empty(p.at(i), n))
				srcs = append(srcs, x.Normal(p.at(i/2+1), n))
			}
			compare := func(name string, tol func(i int) Tolerance) {
				for i, a := range dsts {
					name := fmt.Sprintf("%s %d of %d elements", name, i, a.Len)
					x.Expect(name, a, x.Read(apart[i]), exact)
					x.Result(name, a, tol(i))
				}
			}
			for i, a := range apart {
				x.Copy(a, srcs[i])
			}
			lists.CopyAll(dsts, srcs)
			compare("copy", func(int) Tolerance { return Tolerance{} })
			for i, a := range apart {
				x.AddScaled(a, -0.3, srcs[i])
			}
			lists.AddScaledAll(dsts, -0.3, srcs)
			compare("add_scaled", func(i int) Tolerance { return within(x.Read(srcs[i]), dsts[i].DType) })
			lists.CopyAll(nil, nil)
			lists.AddScaledAll(nil, 1, nil)
		}})
	}
	return out
}
