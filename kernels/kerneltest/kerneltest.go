// Package kerneltest is the conformance suite that every backend passes, in
// three modes: correct, gradient and speed.
//
//	func open(threads int) kernels.Backend { ... }
//
//	func TestConformance(t *testing.T)     { kerneltest.Run(t, open) }
//	func BenchmarkKernels(b *testing.B)    { kerneltest.Bench(b, open) }
//
// # Correct
//
// A [Case] runs operations on a [Rig]: a backend with a source of inputs. It is
// run once on the float64 reference and then on the backend under test with 1,
// 2 and 3 threads, and every result it reports is compared with the
// reference's. Inputs are rounded to their type before either backend sees
// them, and each reported result is replaced by the reference's before the
// case goes on, so that what is compared is always one operation's own
// arithmetic. How far a result may be off is derived from the operation: see
// [Tolerance]. The bits of every result must be the same for every number of
// threads and when a case is repeated in used memory.
//
// Around every array the rig keeps bytes that no operation may change, arrays
// start at addresses aligned to an element only, outputs begin as NaN, and an
// operand that is no result must be unchanged at the end.
//
// # Gradient
//
// On a backend that takes float64, which is the reference, every *Grad
// operation is compared with finite differences of its forward operation. All
// others are compared with the reference's gradients in the cases.
//
// # Speed
//
// [Bench] reports GFLOP/s or GB/s for sizes that occur in training.
package kerneltest

import (
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/ref"
)

// Case is one scenario.
type Case struct {
	Name string
	// Needs reports whether a backend has the operations of the case; nil
	// means that every backend has.
	Needs func(b kernels.Backend) bool
	// Run makes inputs and reports results through the rig it is given.
	Run func(x *Rig)
}

// Cases lists all scenarios.
func Cases() []Case {
	var out []Case
	for _, family := range []func() []Case{elementwiseCases, copyCases, gatedCases, movementCases, reduceCases, gemmCases,
		normCases, rotaryCases, attentionCases, logProbCases, updateCases, listCases} {
		out = append(out, family()...)
	}
	return out
}

// has reports whether a backend implements an optional interface.
func has[T any](b kernels.Backend) bool {
	_, ok := b.(T)
	return ok
}

// answers keeps the reference's results, which are the same for every backend.
var answers struct {
	sync.Mutex
	byCase map[string][]result
}

// answer runs a case on the reference, once in a process.
func answer(t testing.TB, c Case) []result {
	answers.Lock()
	defer answers.Unlock()
	if answers.byCase == nil {
		answers.byCase = map[string][]result{}
	}
	if known, ok := answers.byCase[c.Name]; ok {
		return known
	}
	b := ref.New(device.Device{Type: device.Ref})
	defer b.Close()
	x := newRig(t, b, "reference", nil)
	c.Run(x)
	x.release()
	answers.byCase[c.Name] = x.results
	return x.results
}

// Run checks a backend. open makes an instance with the given number of
// threads.
func Run(t *testing.T, open func(threads int) kernels.Backend) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { runCase(t, c, open) })
	}
	t.Run("gradient", func(t *testing.T) { testGradients(t, open) })
	RunRules(t, open)
}

// RunRules checks how a backend keeps its memory and takes wrong calls.
func RunRules(t *testing.T, open func(threads int) kernels.Backend) {
	t.Run("memory", func(t *testing.T) { testMemory(t, open) })
	t.Run("misuse", func(t *testing.T) { testMisuse(t, open) })
}

// RunCases checks the cases of the named families alone: "gemm", "attention".
func RunCases(t *testing.T, families []string, open func(threads int) kernels.Backend) {
	for _, c := range Cases() {
		if family, _, _ := strings.Cut(c.Name, "/"); slices.Contains(families, family) {
			t.Run(c.Name, func(t *testing.T) { runCase(t, c, open) })
		}
	}
}

func runCase(t testing.TB, c Case, open func(threads int) kernels.Backend) {
	var first []result
	most := 3
	if testing.Short() {
		most = 1
	}
	for threads := 1; threads <= most; threads++ {
		b := open(threads)
		if c.Needs != nil && !c.Needs(b) {
			b.Close()
			t.Skip("the backend leaves this to the composition")
		}
		want := answer(t, c)
		for _, name := range runs(b, threads) {
			x := newRig(t, b, name, want)
			x.first = first
			if v, stack := raised(func() { c.Run(x) }); v != nil {
				t.Fatalf("%s: panic: %v\n%s", name, v, stack)
			}
			x.release()
			if live := b.MemoryStats().LiveBytes; live != 0 {
				t.Errorf("%s: %d bytes still live", name, live)
			}
			if len(x.results) != len(want) {
				t.Fatalf("%s: %d results, the reference has %d", name, len(x.results), len(want))
			}
			if first == nil {
				first = x.results
			}
		}
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if t.Failed() {
			return
		}
	}
}

// runs names the times a case is run on one instance: twice with two threads,
// the second time in memory that the first has used. The reference has one
// thread whatever it is given.
func runs(b kernels.Backend, threads int) []string {
	switch {
	case threads == 1:
		return []string{"1 thread"}
	case takesFloat64(b):
		return nil
	case threads == 2:
		return []string{"2 threads", "2 threads again"}
	}
	return []string{"3 threads"}
}

// raised is what fn panics with, and where.
func raised(fn func()) (value any, stack []byte) {
	defer func() {
		if value = recover(); value != nil {
			stack = debug.Stack()
		}
	}()
	fn()
	return nil, nil
}
