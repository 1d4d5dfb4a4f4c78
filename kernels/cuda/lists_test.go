package cuda

import (
	"slices"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// counting notes what is launched and how often the host waits.
type counting struct {
	launcher
	kernels   []string
	downloads int
}

func (c *counting) launch(kernel string, grid [3]int, threads, shared int, args unsafe.Pointer, size uintptr) {
	c.kernels = append(c.kernels, kernel)
	c.launcher.launch(kernel, grid, threads, shared, args, size)
}

func (c *counting) Download(dst []byte, src unsafe.Pointer) {
	c.downloads++
	c.launcher.Download(dst, src)
}

// TestOneLaunchForAModel: an optimizer step over hundreds of tensors is one
// launch, the norm of their gradients two and one wait.
func TestOneLaunchForAModel(t *testing.T) {
	e := newEmulated(t)
	c := &counting{launcher: e}
	o := operations{on: c}
	lists := make([][]kernels.Array, 4)
	elements := 0
	for i := range 300 {
		n := i % 7 * 100
		elements += n
		for k := range lists {
			p, err := e.Alloc(4 * n)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Free(p)
			a := kernels.Array{Data: p, DType: dtype.Float32, Len: n}
			e.Fill(a, 1)
			lists[k] = append(lists[k], a)
		}
	}
	if sum := o.SumSquares(lists[1]); sum != float64(elements) {
		t.Errorf("sum of squares of %d ones: %g", elements, sum)
	}
	o.AdamW(lists[0], lists[1], lists[2], lists[3], 1, kernels.AdamWArgs{LR: 1, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1})
	o.RMSprop(lists[0], lists[1], lists[2], nil, nil, 1, kernels.RMSpropArgs{LR: 1, Alpha: 0.99, Eps: 1e-8})
	o.SGD(lists[0], lists[1], lists[2], 1, kernels.SGDArgs{LR: 1, Momentum: 0.9})
	o.CopyAll(lists[2], lists[1])
	o.AddScaledAll(lists[2], 0.5, lists[1])
	if want := []string{"sum_squares", "join_squares", "adamw", "rmsprop", "sgd", "convert_list", "add_scaled_list"}; !slices.Equal(c.kernels, want) {
		t.Errorf("launched %v, want %v", c.kernels, want)
	}
	if c.downloads != 1 {
		t.Errorf("%d waits, want 1", c.downloads)
	}
}
