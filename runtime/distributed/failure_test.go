package distributed_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/tensor"
)

// finish runs fn on every rank and returns what Run does and what each rank's
// collective panicked with. Ranks that hang end the test program, as nothing
// else can.
func finish(w *distributed.World, fn func(r *distributed.Rank) error) (err error, aborted []*distributed.Aborted) {
	aborted = make([]*distributed.Aborted, w.Size())
	done := make(chan error)
	go func() {
		done <- w.Run(func(r *distributed.Rank) error {
			defer func() {
				p := recover()
				if a, ok := p.(*distributed.Aborted); ok {
					aborted[r.Rank] = a
				}
				if p != nil {
					panic(p)
				}
			}()
			return fn(r)
		})
	}()
	select {
	case err := <-done:
		return err, aborted
	case <-time.After(30 * time.Second):
		panic("the ranks hang")
	}
}

// works checks that a world can be used after a failure.
func works(t *testing.T, w *distributed.World) {
	t.Helper()
	err, _ := finish(w, func(r *distributed.Rank) error {
		v := []float64{1}
		for range 3 {
			r.Group.Barrier()
			r.Group.SumHost(v)
		}
		if v[0] != 27 {
			return fmt.Errorf("sum is %g", v[0])
		}
		return nil
	})
	if err != nil {
		t.Errorf("the world cannot be used after a failure: %v", err)
	}
}

func array(r *distributed.Rank, dt dtype.DType, n int) kernels.Array {
	return tensor.Zeros(r.Dev, dt, n).Array()
}

func piece(r *distributed.Rank, dt dtype.DType, offsets ...int) []distributed.Piece {
	part := array(r, dt, offsets[r.Rank+1]-offsets[r.Rank])
	return []distributed.Piece{{Whole: array(r, dt, offsets[len(offsets)-1]), Part: part, Offsets: offsets}}
}

// TestCallsThatDoNotMatch lets rank 1 of three do something else than the
// others: every rank that waits is told what, and nobody hangs.
func TestCallsThatDoNotMatch(t *testing.T) {
	f32 := dtype.Float32
	reduce := func(dt dtype.DType, lengths ...int) func(r *distributed.Rank) {
		return func(r *distributed.Rank) {
			var arrays []kernels.Array
			for _, n := range lengths {
				arrays = append(arrays, array(r, dt, n))
			}
			r.Group.AllReduce(arrays)
		}
	}
	for _, c := range []struct {
		name          string
		others, odd   func(r *distributed.Rank)
		want, wantOdd string // seen by rank 0, by rank 1
		silent        bool   // rank 1 waits in nothing
	}{
		{"operation", reduce(f32, 4), func(r *distributed.Rank) { r.Group.Barrier() },
			"ranks 0 and 1 disagree: all-reduce against barrier", "ranks 1 and 0 disagree: barrier against all-reduce", false},
		{"number of arrays", reduce(f32, 4), reduce(f32, 4, 4),
			"all-reduce of 1 arrays against 2", "all-reduce of 2 arrays against 1", false},
		{"length", reduce(f32, 2, 4), reduce(f32, 2, 5),
			"all-reduce array 1: 4 × float32 against 5 × float32", "5 × float32 against 4 × float32", false},
		{"type", reduce(f32, 4), reduce(dtype.BFloat16, 4),
			"4 × float32 against 4 × bfloat16", "4 × bfloat16 against 4 × float32", false},
		{"division", func(r *distributed.Rank) { r.Group.AllGather(piece(r, f32, 0, 2, 4, 6)) },
			func(r *distributed.Rank) { r.Group.AllGather(piece(r, f32, 0, 3, 5, 6)) },
			"all-gather array 0: divided at [0 2 4 6] against [0 3 5 6]", "divided at [0 3 5 6] against [0 2 4 6]", false},
		{"root", func(r *distributed.Rank) { r.Group.Broadcast([]kernels.Array{array(r, f32, 2)}, 0) },
			func(r *distributed.Rank) { r.Group.Broadcast([]kernels.Array{array(r, f32, 2)}, 2) },
			"broadcast from 0 against broadcast from 2", "broadcast from 2 against broadcast from 0", false},
		{"host values", func(r *distributed.Rank) { r.Group.SumHost(make([]float64, 2)) },
			func(r *distributed.Rank) { r.Group.SumHost(make([]float64, 3)) },
			"sum of host values: 2 values against 3", "3 values against 2", false},
		{"a call less", reduce(f32, 4), func(*distributed.Rank) {},
			"rank 0 waits in all-reduce for ranks [0 1 2], rank 1 has returned, rank 2 waits in all-reduce", "", true},
		{"a call more", func(r *distributed.Rank) { r.Group.Barrier() },
			func(r *distributed.Rank) { r.Group.Barrier(); r.Group.Barrier() },
			"", "rank 0 has returned, rank 1 waits in barrier for ranks [0 1 2], rank 2 has returned", false},
		{"group", func(r *distributed.Rank) { r.Group.Barrier() },
			func(r *distributed.Rank) { r.Subgroup([]int{0, 1}).Barrier() },
			"rank 0 waits in barrier for ranks [0 1 2], rank 1 waits in barrier for ranks [0 1]", "rank 1 waits in barrier for ranks [0 1]", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "cpu:3")
			err, aborted := finish(w, func(r *distributed.Rank) error {
				if r.Rank == 1 {
					c.odd(r)
				} else {
					c.others(r)
				}
				return nil
			})
			var a *distributed.Aborted
			if !errors.As(err, &a) {
				t.Errorf("Run returned %v, want an *Aborted", err)
			}
			for rank, a := range aborted {
				want := c.want
				if rank == 1 {
					want = c.wantOdd
				}
				if want == "" {
					if a != nil {
						t.Errorf("rank %d: %v", rank, a)
					}
					continue
				}
				if a == nil || a.Rank != rank || a.Collective == "" || strings.Contains(a.Error(), "\n") {
					t.Errorf("rank %d: %v", rank, a)
				} else if rank < 2 && !strings.Contains(a.Error(), want) {
					t.Errorf("rank %d: %v, want %q", rank, a, want)
				}
			}
			works(t, w)
		})
	}
}

// TestMisuseOfOneRank gives rank 1 arrays that fit nothing: it is told so, and
// the others that it failed.
func TestMisuseOfOneRank(t *testing.T) {
	f32 := dtype.Float32
	for _, c := range []struct {
		name string
		odd  func(r *distributed.Rank)
		want string
	}{
		{"part of another length", func(r *distributed.Rank) {
			p := piece(r, f32, 0, 2, 4, 6)
			p[0].Part.Len = 1
			r.Group.AllGather(p)
		}, "all-gather array 0: want a part of 2 elements on rank 1, got 1"},
		{"part of another type", func(r *distributed.Rank) {
			p := piece(r, f32, 0, 2, 4, 6)
			p[0].Part = array(r, dtype.BFloat16, 2)
			r.Group.AllGather(p)
		}, "all-gather array 0: want a part of type float32, got bfloat16"},
		{"too few offsets", func(r *distributed.Rank) {
			p := piece(r, f32, 0, 2, 4, 6)
			p[0].Offsets = []int{0, 2, 6}
			r.Group.ReduceScatter(p)
		}, "reduce-scatter array 0: want 4 rising offsets from 0 to 6, got [0 2 6]"},
		{"falling offsets", func(r *distributed.Rank) {
			p := piece(r, f32, 0, 2, 4, 6)
			p[0].Offsets = []int{0, 4, 2, 6}
			r.Group.AllGather(p)
		}, "want 4 rising offsets"},
		{"sum of integers", func(r *distributed.Rank) {
			r.Group.AllReduce([]kernels.Array{array(r, dtype.Int32, 6)})
		}, "all-reduce array 0: want a floating type, got int32"},
		{"no such root", func(r *distributed.Rank) {
			r.Group.Broadcast([]kernels.Array{array(r, f32, 6)}, 3)
		}, "broadcast: want a root from 0 to 2, got 3"},
		{"a group without oneself", func(r *distributed.Rank) { r.Subgroup([]int{0, 2}) },
			"subgroup: want a list with rank 1, got [0 2]"},
		{"a group with a rank twice", func(r *distributed.Rank) { r.Subgroup([]int{1, 0, 1}) },
			"subgroup: want ranks from 0 to 2, each once, got [1 0 1]"},
		{"a group with a rank too many", func(r *distributed.Rank) { r.Subgroup([]int{1, 3}) },
			"subgroup: want ranks from 0 to 2, each once, got [1 3]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "cpu:3")
			err, aborted := finish(w, func(r *distributed.Rank) error {
				if r.Rank == 1 {
					c.odd(r)
				} else {
					r.Group.AllGather(piece(r, f32, 0, 2, 4, 6))
				}
				return nil
			})
			var misuse *tensor.Error
			if !errors.As(err, &misuse) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "rank 1: ") {
				t.Errorf("Run returned %v, want %q", err, c.want)
			}
			for _, rank := range []int{0, 2} {
				if a := aborted[rank]; a == nil || !strings.Contains(a.Error(), "rank 1 failed: ") {
					t.Errorf("rank %d: %v", rank, a)
				}
			}
			works(t, w)
		})
	}
}

var errDisk = errors.New("the disk is full")

// TestAFailingRankReleasesTheOthers from every collective, however it fails.
func TestAFailingRankReleasesTheOthers(t *testing.T) {
	collectives := map[string]func(r *distributed.Rank){
		"all-gather":         func(r *distributed.Rank) { r.Group.AllGather(piece(r, dtype.Float32, 0, 1, 2, 3)) },
		"reduce-scatter":     func(r *distributed.Rank) { r.Group.ReduceScatter(piece(r, dtype.Float32, 0, 1, 2, 3)) },
		"all-reduce":         func(r *distributed.Rank) { r.Group.AllReduce([]kernels.Array{array(r, dtype.Float32, 4)}) },
		"broadcast from 1":   func(r *distributed.Rank) { r.Group.Broadcast([]kernels.Array{array(r, dtype.Float32, 4)}, 1) },
		"sum of host values": func(r *distributed.Rank) { r.Group.SumHost([]float64{1}) },
		"barrier":            func(r *distributed.Rank) { r.Group.Barrier() },
	}
	failures := map[string]failure{
		"error":        {func() error { return fmt.Errorf("saving: %w", errDisk) }, errDisk, "rank 2: saving: the disk is full"},
		"panic":        {func() error { panic("no idea") }, nil, "rank 2: panic: no idea"},
		"error panic":  {func() error { panic(errDisk) }, errDisk, "rank 2: the disk is full"},
		"tensor error": {func() error { panic(&tensor.Error{Op: "add", Want: "a", Got: "b"}) }, nil, "rank 2: add: want a, got b"},
	}
	for _, devices := range []string{"cpu:3", "cuda:0,0,0", "cuda:0,1,2"} {
		failingRank(t, newWorld(t, devices), devices, collectives, failures)
	}
}

// failure is a way for a rank to fail, and what is seen of it.
type failure struct {
	fail func() error
	is   error
	want string
}

func failingRank(t *testing.T, w *distributed.World, devices string, collectives map[string]func(r *distributed.Rank), failures map[string]failure) {
	for name, call := range collectives {
		for how, f := range failures {
			t.Run(devices+"/"+name+"/"+how, func(t *testing.T) {
				err, aborted := finish(w, func(r *distributed.Rank) error {
					call(r) // once together
					if r.Rank == 2 {
						time.Sleep(time.Millisecond)
						return f.fail()
					}
					call(r)
					return nil
				})
				if err == nil || !strings.HasPrefix(err.Error(), f.want) || f.is != nil && !errors.Is(err, f.is) {
					t.Errorf("Run returned %v, want %q", err, f.want)
				}
				for _, a := range aborted[:2] {
					if a == nil || a.Collective != name || !strings.Contains(a.Error(), "rank 2 failed") || f.is != nil && !errors.Is(a, f.is) {
						t.Errorf("released with %v", a)
					}
				}
				works(t, w)
			})
		}
	}
}

// TestFailureReachesSubgroups: rank 3 shares no group with rank 0, which waits
// for rank 1, which waits for rank 3.
func TestFailureReachesSubgroups(t *testing.T) {
	w := newWorld(t, "cpu:4")
	err, aborted := finish(w, func(r *distributed.Rank) error {
		switch r.Rank {
		case 0:
			r.Subgroup([]int{0, 1}).Barrier()
		case 1:
			r.Subgroup([]int{1, 3}).Barrier()
			r.Subgroup([]int{0, 1}).Barrier()
		case 3:
			return errDisk
		}
		return nil
	})
	if !errors.Is(err, errDisk) || aborted[0] == nil || aborted[1] == nil || aborted[2] != nil {
		t.Errorf("%v, %v", err, aborted)
	}
}

// TestWorldKeepsWhatRanksKeep: memory and order survive from run to run.
func TestWorldKeepsWhatRanksKeep(t *testing.T) {
	w := newWorld(t, "cpu:2")
	kept := make([]*tensor.Tensor, 2)
	if err := w.Run(func(r *distributed.Rank) error {
		kept[r.Rank] = place(r.Dev, []float32{float32(r.Rank)}, dtype.Float32)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var sums [2]float64
	if err := w.Run(func(r *distributed.Rank) error {
		r.Group.AllReduce([]kernels.Array{kept[r.Rank].Array()})
		sums[r.Rank] = kept[r.Rank].Item()
		return nil
	}); err != nil || sums != [2]float64{1, 1} {
		t.Errorf("%v, sums %v", err, sums)
	}
	if w.Device(0) == w.Device(1) {
		t.Error("two ranks share a device")
	}
}

func TestOpeningAndClosing(t *testing.T) {
	if _, err := distributed.NewWorld(nil, 0); err == nil || !strings.Contains(err.Error(), "at least one device") {
		t.Errorf("no devices: %v", err)
	}
	list := []device.Device{{Type: device.CPU}, {Type: device.CUDA, Index: 99}}
	if _, err := distributed.NewWorld(list, 0); err == nil || !strings.Contains(err.Error(), "distributed: rank 1: ") {
		t.Errorf("a device that is not there: %v", err)
	}
	w, err := distributed.NewWorld(slices.Repeat([]device.Device{{Type: device.CPU}}, 2), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := w.Run(func(*distributed.Rank) error { return nil }); err == nil || !strings.Contains(err.Error(), "the world is closed") {
		t.Errorf("run on a closed world: %v", err)
	}
}
