package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// bed is a backend with the memory that one timed kernel works on.
type bed struct {
	kernels.Backend
	rng *rand.Rand
	err error
}

// array allocates n elements; scale 0 zeroes them, otherwise they are normal.
func (b *bed) array(dt dtype.DType, n int, scale float64) kernels.Array {
	f := b.empty(dtype.Float32, n)
	if b.err != nil {
		return f
	}
	if scale == 0 {
		b.Fill(f, 0)
	} else {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(b.rng.NormFloat64() * scale)
		}
		b.Upload(f.Data, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*n))
	}
	if dt == dtype.Float32 {
		return f
	}
	out := b.empty(dt, n)
	if b.err == nil {
		b.Copy(out, f)
	}
	b.Free(f.Data)
	return out
}

func (b *bed) empty(dt dtype.DType, n int) kernels.Array {
	p, err := b.Alloc(n * dt.Size())
	if err != nil && b.err == nil {
		b.err = err
	}
	return kernels.Array{Data: p, DType: dt, Len: n}
}

// ints allocates indices below limit, or 0, 1, 2, … for limit 0.
func (b *bed) ints(n, limit int) kernels.Array {
	values := make([]int32, n)
	for i := range values {
		values[i] = int32(i)
		if limit > 0 {
			values[i] = int32(b.rng.IntN(limit))
		}
	}
	a := b.empty(dtype.Int32, n)
	if b.err == nil {
		b.Upload(a.Data, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*n))
	}
	return a
}

// timeKernel repeats one operation on our backend.
func timeKernel(k *Kernel) (reply, error) {
	if k == nil {
		return reply{}, fmt.Errorf("bench: kernel request without a kernel")
	}
	if k.Name == "peak" {
		flops, seconds := peakFlops(k.Threads)
		return reply{Seconds: []float64{seconds / flops}}, nil
	}
	dt, err := dtype.Parse(k.DType)
	if err != nil {
		return reply{}, fmt.Errorf("bench: dtype: %w", err)
	}
	backend, err := kernels.Open(device.Device{Type: device.CPU}, k.Threads)
	if err != nil {
		return reply{}, err
	}
	defer backend.Close()
	b := &bed{Backend: backend, rng: rand.New(rand.NewPCG(1, 2))}
	var run func()
	switch k.Name {
	case "gemm":
		run = b.gemm(k, dt)
	case "attention":
		run = b.attention(k, dt)
	case "logprob":
		run = b.logProb(k, dt)
	default:
		return reply{}, fmt.Errorf("bench: unknown kernel %q", k.Name)
	}
	if b.err != nil {
		return reply{}, fmt.Errorf("bench: %s: %w", k.Name, b.err)
	}
	run()
	var out reply
	for range k.Repetitions {
		start := time.Now()
		for range k.Calls {
			run()
		}
		b.Synchronize()
		out.Seconds = append(out.Seconds, time.Since(start).Seconds()/float64(k.Calls))
	}
	return out, nil
}

func (b *bed) gemm(k *Kernel, dt dtype.DType) func() {
	args := &kernels.GemmArgs{TransA: k.TransA, TransB: k.TransB, M: k.M, N: k.N, K: k.K, LDA: k.K, LDB: k.N, LDC: k.N, Alpha: 1, Batch: 1,
		A: b.array(dt, k.M*k.K, 1), B: b.array(dt, k.K*k.N, 1), C: b.empty(dt, k.M*k.N)}
	if k.TransA {
		args.LDA = k.M
	}
	if k.TransB {
		args.LDB = k.K
	}
	return func() { b.Gemm(args) }
}

func (b *bed) attention(k *Kernel, dt dtype.DType) func() {
	rows, width := k.Batch*k.Length, k.Heads*k.HeadDim
	view := func() kernels.Heads {
		return kernels.Heads{Array: b.array(dt, rows*width, 1), Row: width, Head: k.HeadDim}
	}
	args := kernels.AttentionArgs{Out: view(), Q: view(), K: view(), V: view(), LSE: b.empty(dtype.Float32, rows*k.Heads), QueryRows: rows, KeyRows: rows,
		NumHeads: k.Heads, KVHeads: k.Heads, HeadDim: k.HeadDim, Scale: 1 / math.Sqrt(float64(k.HeadDim))}
	for i := range k.Batch {
		args.Segments = append(args.Segments, kernels.Causal(i*k.Length, (i+1)*k.Length))
	}
	fused, ok := b.Backend.(kernels.Attention)
	if !ok {
		b.err = fmt.Errorf("%s has no fused attention", b.Describe())
		return nil
	}
	if !k.Gradient {
		return func() { fused.Attention(&args) }
	}
	fused.Attention(&args)
	grad := &kernels.AttentionGradArgs{AttentionArgs: args, DOut: view(), DQ: view(), DK: view(), DV: view()}
	return func() { fused.AttentionGrad(grad) }
}

func (b *bed) logProb(k *Kernel, dt dtype.DType) func() {
	args := kernels.LogProbArgs{Hidden: b.array(dt, k.Rows*k.Hidden, 1), Weight: b.array(dt, k.Vocabulary*k.Hidden, 0.02), Rows: b.ints(k.Rows, 0),
		Labels: b.ints(k.Rows, k.Vocabulary), Out: b.empty(dtype.Float32, k.Rows), LSE: b.empty(dtype.Float32, k.Rows), T: k.Rows, D: k.Hidden, V: k.Vocabulary, R: k.Rows}
	fused, ok := b.Backend.(kernels.LogProbs)
	if !ok {
		b.err = fmt.Errorf("%s has no fused log-probabilities", b.Describe())
		return nil
	}
	if !k.Gradient {
		return func() { fused.LogProb(&args) }
	}
	if keeper, ok := fused.(kernels.KeepsLogits); ok { // as in training
		args.Logits = b.empty(dtype.Float32, keeper.LogitsKept(k.Rows, k.Vocabulary))
	}
	grad := &kernels.LogProbGradArgs{LogProbArgs: args, DOut: b.array(dtype.Float32, k.Rows, 1), DHidden: b.array(dt, k.Rows*k.Hidden, 0),
		DWeight: b.array(dtype.Float32, k.Vocabulary*k.Hidden, 0)}
	return func() { // forward too, as PyTorch's gradient needs its logits
		fused.LogProb(&args)
		fused.LogProbGrad(grad)
	}
}
