package kerneltest

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// layouts are the row arrangements attention has to get right.
func layouts() map[string]struct {
	queries, keys int
	segments      []kernels.Segment
} {
	type layout = struct {
		queries, keys int
		segments      []kernels.Segment
	}
	return map[string]layout{
		"causal":        {70, 70, []kernels.Segment{kernels.Causal(0, 70)}},
		"two sequences": {90, 90, []kernels.Segment{kernels.Causal(0, 20), kernels.Causal(20, 90)}},
		"pairs": {160, 160, []kernels.Segment{
			kernels.Causal(0, 30), kernels.After(0, 30, 30, 35), kernels.After(0, 30, 35, 100),
			kernels.Causal(100, 101), kernels.After(100, 101, 101, 130), kernels.After(100, 101, 130, 160)}},
		"empty prompt": {20, 20, []kernels.Segment{kernels.Causal(0, 0), kernels.After(0, 0, 0, 9), kernels.After(0, 0, 9, 20)}},
		"cache":        {3, 60, []kernels.Segment{{QueryStart: 0, QueryEnd: 1, KeyStart: 0, KeyEnd: 25}, {QueryStart: 1, QueryEnd: 3, KeyStart: 30, KeyEnd: 60}}},
		"gaps":         {30, 30, []kernels.Segment{kernels.Causal(3, 10), kernels.Causal(15, 29)}},
		"none":         {5, 5, nil},
	}
}

func attentionCases() []Case {
	var out []Case
	for name, l := range layouts() {
		for _, dt := range floatTypes {
			for _, shape := range [][3]int{{4, 4, 8}, {6, 2, 5}, {2, 1, 64}} {
				heads, kv, dim := shape[0], shape[1], shape[2]
				out = append(out, Case{Name: fmt.Sprintf("attention/%s/%v/%s", name, shape, dt), Loose: 8, Run: func(x *Bench) {
					fused, ok := x.Backend.(kernels.Attention)
					if !ok {
						return
					}
					view := func(rows, h int) kernels.Heads {
						return kernels.Heads{Array: x.Normal(dt, rows*h*dim), Row: h * dim, Head: dim}
					}
					a := kernels.AttentionArgs{Q: view(l.queries, heads), K: view(l.keys, kv), V: view(l.keys, kv),
						Out: kernels.Heads{Array: x.Empty(dt, l.queries*heads*dim), Row: heads * dim, Head: dim}, LSE: x.Empty(dtype.Float32, l.queries*heads),
						QueryRows: l.queries, KeyRows: l.keys, NumHeads: heads, KVHeads: kv, HeadDim: dim, Scale: 0.3, Segments: l.segments}
					fused.Attention(&a)
					x.Result("out", a.Out.Array)
					x.Result("lse", a.LSE)
					g := kernels.AttentionGradArgs{AttentionArgs: a, DOut: view(l.queries, heads), DQ: view(l.queries, heads), DK: view(l.keys, kv), DV: view(l.keys, kv)}
					fused.AttentionGrad(&g)
					x.Result("dq", g.DQ.Array)
					x.Result("dk", g.DK.Array)
					x.Result("dv", g.DV.Array)
				}})
			}
		}
	}
	return append(out, Case{Name: "attention/interleaved", Loose: 8, Run: func(x *Bench) {
		fused, ok := x.Backend.(kernels.Attention)
		if !ok {
			return
		}
		const rows, heads, dim = 40, 3, 4
		qkv, dqkv := x.Normal(dtype.Float32, rows*heads*3*dim), x.Normal(dtype.Float32, rows*heads*3*dim)
		view := func(a kernels.Array, i int) kernels.Heads {
			return kernels.Heads{Array: a.Slice(i*dim, a.Len), Row: heads * 3 * dim, Head: 3 * dim}
		}
		plain := func(a kernels.Array) kernels.Heads { return kernels.Heads{Array: a, Row: heads * dim, Head: dim} }
		a := kernels.AttentionArgs{Q: view(qkv, 0), K: view(qkv, 1), V: view(qkv, 2), Out: plain(x.Empty(dtype.Float32, rows*heads*dim)),
			LSE: x.Empty(dtype.Float32, rows*heads), QueryRows: rows, KeyRows: rows, NumHeads: heads, KVHeads: heads, HeadDim: dim, Scale: 0.5,
			Segments: []kernels.Segment{kernels.Causal(0, 12), kernels.After(0, 12, 12, 20), kernels.After(0, 12, 20, 40)}}
		fused.Attention(&a)
		x.Result("out", a.Out.Array)
		fused.AttentionGrad(&kernels.AttentionGradArgs{AttentionArgs: a, DOut: plain(x.Normal(dtype.Float32, rows*heads*dim)),
			DQ: view(dqkv, 0), DK: view(dqkv, 1), DV: view(dqkv, 2)})
		x.Result("dqkv", dqkv)
	}})
}
