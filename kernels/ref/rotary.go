package ref

import "dpolab/kernels"

func (b *Backend) Rotary(y, x kernels.Heads, args *kernels.RotaryArgs) {
	turn(x, args, 1, y, func(i int, v float64) { set(y.Array, i, v) })
}

func (b *Backend) RotaryGrad(dx, dy kernels.Heads, args *kernels.RotaryArgs) {
	turn(dy, args, -1, dx, func(i int, v float64) { set(dx.Array, i, at(dx.Array, i)+v) })
}

// turn rotates every head of x by its row's position, forwards or backwards,
// and hands each element on with its place in the layout of to.
func turn(x kernels.Heads, args *kernels.RotaryArgs, direction float64, to kernels.Heads, put func(i int, v float64)) {
	half := args.Dim / 2
	for t := range args.Rows {
		p := 0
		if half > 0 {
			p = row("rotary", int(at(args.Positions, t)), args.Cos.Len/half)
		}
		for h := range args.NumHeads {
			from, dst := t*x.Row+h*x.Head, t*to.Row+h*to.Head
			for i := range half {
				c, s := at(args.Cos, p*half+i), direction*at(args.Sin, p*half+i)
				a, b := at(x.Array, from+i), at(x.Array, from+half+i)
				put(dst+i, a*c-b*s)
				put(dst+half+i, b*c+a*s)
			}
			for i := args.Dim; i < args.HeadDim; i++ {
				put(dst+i, at(x.Array, from+i))
			}
		}
	}
}
