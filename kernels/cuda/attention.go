package cuda

import (
	"fmt"
	"slices"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

type strides struct {
	row           int64
	head, padding int32
}

type attentionArgs struct {
	out, q, k, v                                             array
	dout, dq, dk, dv                                         array
	outAt, qAt, kAt, vAt, doutAt, dqAt, dkAt, dvAt           strides
	lse, delta, segments, queryTiles, keyTiles, sights, rows uintptr
	heads, group, dim, deltaFromOut                          int32
	scale                                                    float32
	padding                                                  int32
}

// The exact kernels' tiles, ROWS, EACH and KEYS of attention.cu: so many
// queries or keys a block, so many of the others at a time.
const (
	exactRows = 16
	exactKeys = 32
	exactDim  = 256
)

func view(op string, h kernels.Heads) (array, strides) {
	return operand(op, h.Array), strides{row: int64(h.Row), head: int32(h.Head)}
}

func (o *operations) attentionArgs(op string, a *kernels.AttentionArgs) *attentionArgs {
	if a.HeadDim < 1 || a.HeadDim > exactDim {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("heads of %d elements, want 1 to %d", a.HeadDim, exactDim)})
	}
	if a.KVHeads < 1 || a.NumHeads%a.KVHeads != 0 {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d heads over %d key-value heads", a.NumHeads, a.KVHeads)})
	}
	args := &attentionArgs{lse: floats(op, a.LSE), heads: int32(a.NumHeads), group: int32(a.NumHeads / a.KVHeads), dim: int32(a.HeadDim), scale: float32(a.Scale)}
	args.out, args.outAt = view(op, a.Out)
	args.q, args.qAt = view(op, a.Q)
	args.k, args.kAt = view(op, a.K)
	args.v, args.vAt = view(op, a.V)
	return args
}

// list puts a work list's addresses in their places.
func (args *attentionArgs) list(w workList) {
	args.segments, args.queryTiles, args.keyTiles, args.sights, args.rows = w.segments, w.queries, w.keys, w.sights, w.uncovered
}

func (o *operations) Attention(a *kernels.AttentionArgs) {
	const op = "attention"
	args := o.attentionArgs(op, a)
	rows, shared := exactRows, 4*(exactRows*a.HeadDim+exactKeys*(a.HeadDim+1)+exactRows*exactKeys)
	kernel, ok := flashKernel(a.HeadDim, a.Q, a.K, a.V, a.Out)
	if ok {
		rows, shared = flashRows, flashShared(a.HeadDim)
	}
	tiles, missing := queryTiles(a.Segments, rows), uncovered(a.Segments, a.QueryRows)
	w := o.upload(op, a.Segments, tiles, nil, nil, missing)
	defer o.on.Free(w.memory)
	args.list(w)
	run(o, "attention_clear", [3]int{len(missing), 1, 1}, 128, 0, args)
	if ok {
		kernel = "flash_" + kernel
	} else {
		kernel = "attention"
	}
	run(o, kernel, [3]int{len(tiles), a.NumHeads, 1}, 128, shared, args)
}

// clearHeads zeroes the arrays of heads, an array that has several of them once.
func (o *operations) clearHeads(all ...kernels.Heads) {
	var done []kernels.Array
	for _, x := range all {
		inside := func(a kernels.Array) bool {
			at := uintptr(x.Data) - uintptr(a.Data)
			return uintptr(x.Data) >= uintptr(a.Data) && at+uintptr(x.Bytes()) <= uintptr(a.Bytes())
		}
		if !slices.ContainsFunc(done, inside) {
			o.Fill(x.Array, 0)
			done = append(done, x.Array)
		}
	}
}

func (o *operations) AttentionGrad(a *kernels.AttentionGradArgs) {
	const op = "attention gradient"
	if a.Fresh {
		o.clearHeads(a.DQ, a.DK, a.DV)
	}
	args := o.attentionArgs(op, &a.AttentionArgs)
	args.dout, args.doutAt = view(op, a.DOut)
	args.dq, args.dqAt = view(op, a.DQ)
	args.dk, args.dkAt = view(op, a.DK)
	args.dv, args.dvAt = view(op, a.DV)
	args.deltaFromOut = flag(a.Out.DType == dtype.Float32)
	queryKernel, keyKernel, rows, keys := "attention_grad_query", "attention_grad_key", exactRows, exactRows
	queryShared := 4 * (2*exactRows*a.HeadDim + 2*exactKeys*(a.HeadDim+1) + exactRows*exactKeys)
	keyShared := queryShared + 4*exactRows*exactKeys
	if name, ok := flashKernel(a.HeadDim, a.Q, a.K, a.V, a.Out, a.DOut); ok {
		queryKernel, keyKernel, rows, keys = "flash_grad_query_"+name, "flash_grad_key_"+name, flashRows, flashRows
		queryShared, keyShared = flashGradShared(a.HeadDim), flashGradShared(a.HeadDim)
	}
	queries := queryTiles(a.Segments, rows)
	tiles, sights := keyTiles(a.Segments, keys)
	w := o.upload(op, a.Segments, queries, tiles, sights, nil)
	defer o.on.Free(w.memory)
	delta := o.scratch(op, 4*a.QueryRows*a.NumHeads)
	defer o.on.Free(delta)
	args.list(w)
	args.delta = uintptr(delta)
	run(o, queryKernel, [3]int{len(queries), a.NumHeads, 1}, 128, queryShared, args)
	run(o, keyKernel, [3]int{len(tiles), a.KVHeads, 1}, 128, keyShared, args)
}
