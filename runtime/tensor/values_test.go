package tensor_test

import (
	"math"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// mapped applies f to the values of input(dev, seed, n).
func mapped(n int, seed float64, f func(v float64) float64) []float64 {
	out := values(n, seed)
	for i, v := range out {
		out[i] = f(v)
	}
	return out
}

func sigmoid(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

// softmaxOf is the textbook formula on a few scores.
func softmaxOf(scores []float64) []float64 {
	out := make([]float64, len(scores))
	sum := 0.0
	for i, s := range scores {
		out[i] = math.Exp(s)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// grid fills [rows, cols] from a formula of row and column.
func grid(rows, cols int, f func(i, j int) float64) []float64 {
	out := make([]float64, 0, rows*cols)
	for i := range rows {
		for j := range cols {
			out = append(out, f(i, j))
		}
	}
	return out
}

// TestElementwiseValues compares functions of one and two operands with Go's.
func TestElementwiseValues(t *testing.T) {
	dev := refDevice()
	x := input(dev, 1, 2, 3)
	positive := x.Abs().AddScalar(0.5)
	for name, c := range map[string]struct {
		got *T
		f   func(v float64) float64
	}{
		"neg":         {x.Neg(), func(v float64) float64 { return -v }},
		"exp":         {x.Exp(), math.Exp},
		"log":         {positive.Log(), func(v float64) float64 { return math.Log(math.Abs(v) + 0.5) }},
		"sqrt":        {positive.Sqrt(), func(v float64) float64 { return math.Sqrt(math.Abs(v) + 0.5) }},
		"square":      {x.Square(), func(v float64) float64 { return v * v }},
		"abs":         {x.Abs(), math.Abs},
		"reciprocal":  {x.Reciprocal(), func(v float64) float64 { return 1 / v }},
		"relu":        {x.ReLU(), func(v float64) float64 { return math.Max(v, 0) }},
		"sigmoid":     {x.Sigmoid(), sigmoid},
		"log sigmoid": {x.LogSigmoid(), func(v float64) float64 { return math.Log(sigmoid(v)) }},
		"softplus":    {x.Softplus(), func(v float64) float64 { return math.Log(1 + math.Exp(v)) }},
		"tanh":        {x.Tanh(), math.Tanh},
		"silu":        {x.SiLU(), func(v float64) float64 { return v * sigmoid(v) }},
		"gelu":        {x.GELU(), func(v float64) float64 { return v * 0.5 * (1 + math.Erf(v/math.Sqrt2)) }},
		"gelu tanh": {x.GELUTanh(), func(v float64) float64 {
			return 0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
		}},
		"add scalar": {x.AddScalar(2), func(v float64) float64 { return v + 2 }},
		"mul scalar": {x.MulScalar(-3), func(v float64) float64 { return -3 * v }},
		"clone":      {x.Clone(), func(v float64) float64 { return v }},
	} {
		expect(t, name, c.got, mapped(6, 1, c.f)...)
	}
	if v := tensor.FromFloat64(dev, []float64{-800, 800}).LogSigmoid().Float64s(); v[0] != -800 || v[1] != 0 {
		t.Errorf("log sigmoid far out: %v", v)
	}

	row, column := input(dev, 2, 3), input(dev, 3, 2, 1)
	r, c, v := values(3, 2), values(2, 3), values(6, 1)
	for name, k := range map[string]struct {
		got *T
		f   func(i, j int) float64
	}{
		"add":     {x.Add(row), func(i, j int) float64 { return v[3*i+j] + r[j] }},
		"sub":     {column.Sub(x), func(i, j int) float64 { return c[i] - v[3*i+j] }},
		"mul":     {column.Mul(row), func(i, j int) float64 { return c[i] * r[j] }},
		"div":     {x.Div(column), func(i, j int) float64 { return v[3*i+j] / c[i] }},
		"maximum": {x.Maximum(row), func(i, j int) float64 { return math.Max(v[3*i+j], r[j]) }},
		"minimum": {x.Minimum(row), func(i, j int) float64 { return math.Min(v[3*i+j], r[j]) }},
		"swiglu":  {tensor.SwiGLU(x, x.Neg()), func(i, j int) float64 { return -v[3*i+j] * v[3*i+j] * sigmoid(v[3*i+j]) }},
	} {
		expect(t, name, k.got, grid(2, 3, k.f)...)
	}
	a, b := tensor.FromFloat64(dev, []float64{1, 2, 3}), tensor.FromFloat64(dev, []float64{2, 2, 2})
	expect(t, "greater", a.Greater(b), 0, 0, 1)
	expect(t, "equal", a.Equal(b), 0, 1, 0)
	if a.Greater(b).SetRequiresGrad(true); a.SetRequiresGrad(true).Greater(b).RequiresGrad() {
		t.Error("a comparison has a gradient")
	}
	for _, k := range []struct{ a, b, want dtype.DType }{
		{dtype.BFloat16, dtype.BFloat16, dtype.BFloat16}, {dtype.BFloat16, dtype.Float16, dtype.Float32},
		{dtype.Float16, dtype.Float32, dtype.Float32}, {dtype.Float32, dtype.Float64, dtype.Float64},
	} {
		if got := a.Detach().To(k.a).Add(b.To(k.b)).DType(); got != k.want {
			t.Errorf("%s with %s gives %s, want %s", k.a, k.b, got, k.want)
		}
	}
}

// TestLayoutValues follows elements by their numbers through reductions and
// movements. x[i][j][k] = 100i + 10j + k, of shape [2, 3, 2].
func TestLayoutValues(t *testing.T) {
	dev := refDevice()
	var number []float64
	for i := range 2 {
		for j := range 3 {
			for k := range 2 {
				number = append(number, float64(100*i+10*j+k))
			}
		}
	}
	x := tensor.FromFloat64(dev, number, 2, 3, 2)
	flat := tensor.FromFloat64(dev, []float64{1, 2, 3, 4, 5})
	for name, c := range map[string]struct {
		got   *T
		shape []int
		want  []float64
	}{
		"sum":             {x.Sum(), []int{}, []float64{726}},
		"mean":            {x.Mean(), []int{}, []float64{60.5}},
		"sum dim":         {x.SumDim(1, false), []int{2, 2}, []float64{30, 33, 330, 333}},
		"mean dim":        {x.MeanDim(-1, true), []int{2, 3, 1}, []float64{0.5, 10.5, 20.5, 100.5, 110.5, 120.5}},
		"max dim":         {x.Neg().MaxDim(0, false), []int{3, 2}, []float64{0, -1, -10, -11, -20, -21}},
		"reshape":         {x.Reshape(-1, 4), []int{3, 4}, number},
		"transpose":       {x.Transpose(0, -1), []int{2, 3, 2}, []float64{0, 100, 10, 110, 20, 120, 1, 101, 11, 111, 21, 121}},
		"permute":         {x.Permute(1, 2, 0), []int{3, 2, 2}, []float64{0, 100, 1, 101, 10, 110, 11, 111, 20, 120, 21, 121}},
		"narrow 0":        {x.Narrow(0, 1, 1), []int{1, 3, 2}, []float64{100, 101, 110, 111, 120, 121}},
		"narrow 1":        {x.Narrow(1, 1, 2), []int{2, 2, 2}, []float64{10, 11, 20, 21, 110, 111, 120, 121}},
		"narrow -1":       {x.Narrow(-1, 1, 1), []int{2, 3, 1}, []float64{1, 11, 21, 101, 111, 121}},
		"narrow nothing":  {x.Narrow(1, 3, 0), []int{2, 0, 2}, nil},
		"index":           {x.Index(-1).Index(0), []int{2}, []float64{100, 101}},
		"cat 0":           {tensor.Cat(0, []*T{x.Narrow(0, 1, 1), x.Narrow(0, 0, 1)}), []int{2, 3, 2}, append(append([]float64(nil), number[6:]...), number[:6]...)},
		"cat -1":          {tensor.Cat(-1, []*T{x.Narrow(2, 1, 1), x.Narrow(2, 0, 0), x.Narrow(2, 0, 1)}).Index(0), []int{3, 2}, []float64{1, 0, 11, 10, 21, 20}},
		"stack 0":         {tensor.Stack(0, []*T{flat, flat}), []int{2, 5}, []float64{1, 2, 3, 4, 5, 1, 2, 3, 4, 5}},
		"stack -1":        {tensor.Stack(-1, []*T{flat, flat.Neg()}), []int{5, 2}, []float64{1, -1, 2, -2, 3, -3, 4, -4, 5, -5}},
		"gather":          {tensor.Gather(x.Reshape(6, 2), ids(x, 5, 0, 5)), []int{3, 2}, []float64{120, 121, 0, 1, 120, 121}},
		"segment sum":     {tensor.SegmentSum(flat, []int32{0, 2, 2, 5}), []int{3}, []float64{3, 0, 12}},
		"in place":        {x.Clone().Fill(2).AddScaledInPlace(10, tensor.Full(dev, dtype.Float32, 0.5, 2, 3, 2)).SumDim(1, false), []int{2, 2}, []float64{21, 21, 21, 21}},
		"int32 to float":  {ids(x, 3, -7).To(dtype.Float64), []int{2}, []float64{3, -7}},
		"float16 rounded": {tensor.FromFloat64(dev, []float64{2049, 1 + 1.0/4096}).To(dtype.Float16), []int{2}, []float64{2048, 1}},
	} {
		if got := c.got.Shape(); len(got) != len(c.shape) {
			t.Errorf("%s: shape %v, want %v", name, got, c.shape)
			continue
		}
		for i, d := range c.shape {
			if c.got.Dim(i) != d {
				t.Errorf("%s: shape %v, want %v", name, c.got.Shape(), c.shape)
			}
		}
		expect(t, name, c.got, c.want...)
	}
	view := flat.Narrow(0, 1, 2)
	view.Fill(9)
	expect(t, "a view writes through", flat, 1, 9, 9, 4, 5)
	expect(t, "a copy does not", func() *T { y := flat.Clone(); y.Zero(); return flat }(), 1, 9, 9, 4, 5)
	if flat.To(dtype.Float64) != flat {
		t.Error("a conversion to the same type copied")
	}
	if got, want := tensor.FromInt32(dev, []int32{1, 2, 3, 4, 5, 6, 7, 8, 9}).String(), "tensor([9] int32 ref:0 1 2 3 4 5 6 7 8 …)"; got != want {
		t.Errorf("String is %q, want %q", got, want)
	}
}

// TestModelValues compares the operations of models with plain formulas.
func TestModelValues(t *testing.T) {
	dev := refDevice()
	x, w, b := input(dev, 1, 3, 4), input(dev, 2, 2, 4), input(dev, 3, 2)
	xv, wv, bv := values(12, 1), values(8, 2), values(2, 3)
	product := func(i, j int) float64 {
		s := bv[j]
		for k := range 4 {
			s += xv[4*i+k] * wv[4*j+k]
		}
		return s
	}
	expect(t, "linear", tensor.Linear(x, w, b), grid(3, 2, product)...)
	expect(t, "conv1d", tensor.Conv1D(x, w.Transpose(0, 1), b), grid(3, 2, product)...)
	expect(t, "matmul", x.MatMul(w.Transpose(0, 1)).Add(b), grid(3, 2, product)...)
	batch := tensor.Stack(0, []*T{x, x.Neg()}).MatMul(tensor.Stack(0, []*T{w.Transpose(0, 1), w.Transpose(0, 1)}))
	expect(t, "batched", batch.Index(1).Neg().Add(b), grid(3, 2, product)...)
	if got := tensor.Linear(x.To(dtype.BFloat16), w, nil).DType(); got != dtype.BFloat16 {
		t.Errorf("linear of bfloat16 gives %s", got)
	}

	row := func(v []float64, i, n int) []float64 { return v[n*i : n*(i+1)] }
	moments := func(v []float64) (mean, square, variance float64) {
		for _, e := range v {
			mean += e / float64(len(v))
			square += e * e / float64(len(v))
		}
		return mean, square, square - mean*mean
	}
	scale, shift := input(dev, 4, 4), input(dev, 5, 4)
	sc, sh := values(4, 4), values(4, 5)
	layer := func(bias float64) []float64 {
		return grid(3, 4, func(i, j int) float64 {
			mean, _, variance := moments(row(xv, i, 4))
			return (xv[4*i+j]-mean)/math.Sqrt(variance+0.1)*sc[j] + bias*sh[j]
		})
	}
	expect(t, "layer norm", tensor.LayerNorm(x, scale, shift, 0.1), layer(1)...)
	expect(t, "layer norm without bias", tensor.LayerNorm(x, scale, nil, 0.1), layer(0)...)
	expect(t, "rms norm", tensor.RMSNorm(x, scale, 0.1), grid(3, 4, func(i, j int) float64 {
		_, square, _ := moments(row(xv, i, 4))
		return xv[4*i+j] / math.Sqrt(square+0.1) * sc[j]
	})...)
	expect(t, "softmax", x.Softmax(1), grid(3, 4, func(i, j int) float64 { return softmaxOf(row(xv, i, 4))[j] })...)
	expect(t, "log softmax", x.LogSoftmax(0), grid(3, 4, func(i, j int) float64 {
		return math.Log(softmaxOf([]float64{xv[j], xv[4+j], xv[8+j]})[i])
	})...)

	table := input(dev, 6, 5, 4)
	tv := values(20, 6)
	logit := func(i, v int) float64 {
		s := 0.0
		for k := range 4 {
			s += xv[4*i+k] * tv[4*v+k]
		}
		return s
	}
	rows, labels := []int32{2, 0, 2}, []int32{4, 1, 0}
	var logps []float64
	for r, i := range rows {
		logps = append(logps, math.Log(softmaxOf(grid(1, 5, func(_, v int) float64 { return logit(int(i), v) }))[labels[r]]))
	}
	expect(t, "log probs", tensor.LogProbs(x, table, ids(x, rows...), ids(x, labels...)), logps...)
	if got := tensor.LogProbs(x.To(dtype.BFloat16), table.To(dtype.BFloat16), ids(x, rows...), ids(x, labels...)).DType(); got != dtype.Float32 {
		t.Errorf("log-probabilities are %s", got)
	}
}

// TestHeadValues compares rotary embedding and attention, on fused projections,
// with plain formulas.
func TestHeadValues(t *testing.T) {
	dev := refDevice()
	const rows, heads, dim, half = 5, 2, 5, 2 // four of five elements turn
	x := input(dev, 1, rows, 12)
	xv := values(rows*12, 1)
	angles := grid(9, half, func(p, i int) float64 { return float64(p) * math.Pow(10, -float64(i)) })
	cos, sin := make([]float64, len(angles)), make([]float64, len(angles))
	for i, a := range angles {
		cos[i], sin[i] = math.Cos(a), math.Sin(a)
	}
	positions := []int32{0, 8, 3, 3, 1}
	v := tensor.HeadView{X: x, Offset: 1, Row: 12, Head: 5}
	got := tensor.Rotary(v, rows, heads, dim, 2*half, tensor.FromFloat64(dev, cos, 9, half), tensor.FromFloat64(dev, sin, 9, half), ids(x, positions...))
	expect(t, "rotary", got, grid(rows*heads, dim, func(th, i int) float64 {
		at := 1 + th/heads*12 + th%heads*5
		a := func(k int) float64 { return angles[int(positions[th/heads])*half+k] }
		switch {
		case i < half:
			return xv[at+i]*math.Cos(a(i)) - xv[at+half+i]*math.Sin(a(i))
		case i < 2*half:
			return xv[at+i]*math.Cos(a(i-half)) + xv[at+i-half]*math.Sin(a(i-half))
		}
		return xv[at+i]
	})...)

	// Two query heads share one key-value head. Rows 0 and 1 are a prompt, 2
	// and 3 answers that do not see each other, 4 is in no segment.
	sees := [][]int{{0}, {0, 1}, {0, 1, 2}, {0, 1, 3}, nil}
	at := func(t, h, i int) float64 { return xv[12*t+3*h+i] } // q0 q1 k v, three elements each
	project := func(h int) tensor.HeadView { return tensor.HeadView{X: x, Offset: 3 * h, Row: 12, Head: 3} }
	out := tensor.Attention(tensor.AttentionArgs{Q: project(0), K: project(2), V: project(3), QueryRows: rows, KeyRows: rows,
		NumHeads: 2, KVHeads: 1, HeadDim: 3, Scale: 0.6,
		Segments: []kernels.Segment{kernels.After(0, 2, 3, 4), kernels.Causal(0, 2), kernels.After(0, 2, 2, 3)}})
	expect(t, "attention", out, grid(rows*2, 3, func(th, i int) float64 {
		var scores []float64
		for _, k := range sees[th/2] {
			s := 0.0
			for e := range 3 {
				s += at(th/2, th%2, e) * at(k, 2, e)
			}
			scores = append(scores, 0.6*s)
		}
		sum := 0.0
		for n, p := range softmaxOf(scores) {
			sum += p * at(sees[th/2][n], 3, i)
		}
		return sum
	})...)
}
