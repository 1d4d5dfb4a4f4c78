package bench

import "dpolab/runtime/data"

// Job is the body of the request "open": a model, how to train it, and the
// settings of either side. Fields that the other side has no use for are
// ignored there.
type Job struct {
	Kind        string  `json:"kind"` // sft, dpo, packed or padded
	Policy      string  `json:"policy"`
	Reference   string  `json:"reference"`
	Threads     int     `json:"threads"` // of each rank
	LR          float64 `json:"lr"`
	WarmupSteps int     `json:"warmup_steps"`
	MaxGradNorm float64 `json:"max_grad_norm"`
	Beta        float64 `json:"beta"`

	// Ours.
	Ranks     int    `json:"ranks"`
	DType     string `json:"dtype"` // float32 or bfloat16
	Cached    bool   `json:"cached"`
	Devices   string `json:"devices"`   // instead of CPU ranks
	Optimizer string `json:"optimizer"` // instead of RMSprop
	Profile   string `json:"profile"`   // file for a CPU profile of the steps

	// PyTorch's.
	Attention string `json:"attention"`
	FusedGELU bool   `json:"fused_gelu"`
	Autocast  bool   `json:"autocast"`
	Compile   bool   `json:"compile"`
	Foreach   bool   `json:"foreach"`
}

// Kernel is the body of the request "kernel": one operation, repeated.
type Kernel struct {
	Name        string `json:"name"` // gemm, attention, logprob or peak
	DType       string `json:"dtype"`
	Threads     int    `json:"threads"`
	Repetitions int    `json:"repetitions"`
	Calls       int    `json:"calls"` // per repetition
	Gradient    bool   `json:"gradient"`

	M      int  `json:"m"`
	N      int  `json:"n"`
	K      int  `json:"k"`
	TransA bool `json:"trans_a"`
	TransB bool `json:"trans_b"`

	Batch   int `json:"batch"`
	Heads   int `json:"heads"`
	Length  int `json:"length"`
	HeadDim int `json:"head_dim"`

	Rows       int `json:"rows"`
	Hidden     int `json:"hidden"`
	Vocabulary int `json:"vocabulary"`
}

// Pair is one example on the wire.
type Pair struct {
	Prompt   []int32 `json:"prompt"`
	Chosen   []int32 `json:"chosen"`
	Rejected []int32 `json:"rejected"`
}

// request is one line to a child.
type request struct {
	Op       string  `json:"op"`
	Job      *Job    `json:"job,omitempty"`      // open
	Examples []Pair  `json:"examples,omitempty"` // step, prepare
	Kernel   *Kernel `json:"kernel,omitempty"`   // kernel
	Path     string  `json:"path,omitempty"`     // load, read
}

// reply is the union of what a child answers.
type reply struct {
	Error string `json:"error,omitempty"`

	Seconds []float64 `json:"seconds,omitempty"` // one for a step
	CPU     []float64 `json:"cpu,omitempty"`     // seconds of processor time, all threads
	Loss    float64   `json:"loss,omitempty"`
	Tokens  int       `json:"tokens,omitempty"`

	LogProbs       []float32 `json:"logprobs,omitempty"`        // summed, of every response
	ParameterBytes int       `json:"parameter_bytes,omitempty"` // as the forward pass reads them

	RSS       int64 `json:"rss,omitempty"`
	Peak      int64 `json:"peak,omitempty"`
	Allocated int64 `json:"allocated,omitempty"` // peak of our allocators, all ranks

	// Of loading: bytes that stay on Go's heap, and that were allocated there.
	HeapGrowth    int64 `json:"heap_growth,omitempty"`
	HeapAllocated int64 `json:"heap_allocated,omitempty"`

	Versions map[string]string `json:"versions,omitempty"`
}

func wire(examples []data.Example) []Pair {
	out := make([]Pair, len(examples))
	for i, e := range examples {
		out[i] = Pair{e.Prompt, e.Chosen, e.Rejected}
	}
	return out
}

func examplesOf(pairs []Pair) []data.Example {
	out := make([]data.Example, len(pairs))
	for i, p := range pairs {
		out[i] = data.Example{Prompt: p.Prompt, Chosen: p.Chosen, Rejected: p.Rejected}
	}
	return out
}
