package cuda

import (
	"fmt"

	"dpolab/kernels"
)

type rotaryArgs struct {
	y, x, cos, sin                                    array
	positions, fault                                  uintptr
	rows, yRow, xRow, table                           int64
	yHead, xHead, heads, half, rest, add, op, padding int32
}

var rotaryFault = faultOp("rotary")

func (o *operations) Rotary(y, x kernels.Heads, args *kernels.RotaryArgs) {
	o.turn("rotary", y, x, args, false)
}

func (o *operations) RotaryGrad(dx, dy kernels.Heads, args *kernels.RotaryArgs) {
	o.turn("rotary gradient", dx, dy, args, true)
}

func (o *operations) turn(op string, y, x kernels.Heads, r *kernels.RotaryArgs, add bool) {
	half, rest := r.Dim/2, r.HeadDim-r.Dim
	args := &rotaryArgs{y: operand(op, y.Array), x: operand(op, x.Array), cos: operand(op, r.Cos), sin: operand(op, r.Sin),
		positions: ints(op, r.Positions), fault: o.fault, rows: int64(r.Rows), yRow: int64(y.Row), xRow: int64(x.Row),
		yHead: int32(y.Head), xHead: int32(x.Head), heads: int32(r.NumHeads), half: int32(half), rest: int32(rest), add: flag(add), op: rotaryFault}
	if half > 0 {
		args.table = int64(min(r.Cos.Len, r.Sin.Len) / half)
	}
	// The widest run that all parts of a head are made of; what it does to
	// alignment the kernel looks after.
	width := 1
	for _, w := range []int{2, 8} {
		if half%w == 0 && rest%w == 0 {
			width = w
		}
	}
	line(o, fmt.Sprint("rotary_", width), r.Rows*r.NumHeads*(half+rest)/width, 1, args)
}
