package distributed_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
)

// TestNCCLFailures: whatever goes wrong, the error names rank, collective and
// module, no rank hangs, and the next run works.
func TestNCCLFailures(t *testing.T) {
	reduce := func(r *distributed.Rank) {
		r.Group.AllReduce([]kernels.Array{array(r, dtype.Float32, 4)})
	}
	for _, c := range []struct {
		name, variable, value string
		rank1                 func(r *distributed.Rank)
		want                  string
	}{
		{"hanging device", "NCCLTEST_HANG", "1:3", reduce, "all-reduce of GPTNeoXLayer 3 has not finished after 300ms"},
		{"failing device", "NCCLTEST_FAIL", "1:3", reduce, "rank 1: all-reduce of GPTNeoXLayer 3: collective: remote process exited or there was a network error (NCCL error 6)"},
		{"late rank", "", "", func(r *distributed.Rank) { time.Sleep(900 * time.Millisecond); reduce(r) },
			"rank 1 has not come to all-reduce of GPTNeoXLayer 3, where rank 0 has been waiting for 300ms; it was last in all-reduce of GPTNeoXLayer 2"},
		{"failing rank", "", "", func(*distributed.Rank) { panic(errDisk) }, "rank 1: the disk is full"},
		{"other collective", "", "", func(r *distributed.Rank) { r.Group.Broadcast([]kernels.Array{array(r, dtype.Float32, 4)}, 0) }, "disagree: all-reduce against broadcast from 0"},
		{"nothing", "", "", func(*distributed.Rank) {}, "rank 1 has returned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if onGPU && c.variable != "" {
				t.Skip("NVIDIA's library does not fail when it is asked to")
			}
			devices := available(t, "cuda:0,1,2")[0]
			t.Setenv("DPOLAB_NCCL_TIMEOUT", "0.3")
			w := newWorld(t, devices)
			if c.variable != "" {
				os.Setenv(c.variable, c.value)
				defer os.Unsetenv(c.variable)
			}
			err, _ := finish(w, func(r *distributed.Rank) error {
				r.Group.Label("GPTNeoXLayer 2")
				reduce(r)
				reduce(r)
				r.Group.Label("GPTNeoXLayer 3")
				if r.Rank == 1 {
					c.rank1(r)
				} else {
					reduce(r)
				}
				r.Dev.Backend().Synchronize()
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), c.want) && !strings.Contains(err.Error(), swapped(c.want)) {
				t.Errorf("Run returned %v, want %q", err, c.want)
			}
			os.Unsetenv(c.variable)
			works(t, w)
			err, _ = finish(w, func(r *distributed.Rank) error { reduce(r); r.Dev.Backend().Synchronize(); return nil })
			if err != nil {
				t.Errorf("the world's communicators are gone: %v", err)
			}
		})
	}
}

// swapped is a disagreement as the other rank reports it.
func swapped(s string) string {
	before, calls, ok := strings.Cut(s, "disagree: ")
	a, b, cut := strings.Cut(calls, " against ")
	if !ok || !cut {
		return s
	}
	return before + "disagree: " + b + " against " + a
}

func TestDevicesThatDoNotMix(t *testing.T) {
	for devices, want := range map[string]string{
		"cuda:0,0,1": "ranks have a GPU each, or share one that all ranks are on",
		"cuda:0,9":   "distributed: rank 1: ",
	} {
		list, err := device.ParseList(devices)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := distributed.NewWorld(list, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", devices, err, want)
		}
	}
	t.Setenv("DPOLAB_NCCL_TIMEOUT", "soon")
	if _, err := distributed.NewWorld([]device.Device{{Type: device.CUDA}}, 1); err == nil || !strings.Contains(err.Error(), "want a number of seconds") {
		t.Errorf("a timeout that is no number: %v", err)
	}
}

// TestStartedWork is complete after Wait, on every kind of group, and Wait may
// be called again.
func TestStartedWork(t *testing.T) {
	for _, devices := range available(t, "cpu:2", "cuda:0,0", "cuda:0,1", "cuda:0") {
		overlaps := devices == "cuda:0,0" || devices == "cuda:0,1"
		w := newWorld(t, devices)
		err := w.Run(func(r *distributed.Rank) error {
			if r.Group.Overlaps() != overlaps {
				return errors.New("Overlaps is wrong")
			}
			offsets := make([]int, r.Size+1)
			for i := range offsets {
				offsets[i] = 1000 * i
			}
			pieces := piece(r, dtype.Float32, offsets...)
			for round := range 5 {
				value := float64(r.Rank + 10*round)
				r.Dev.Backend().Fill(pieces[0].Part, value)
				work := r.Group.StartAllGather(pieces)
				work.Wait()
				work.Wait()
				for other := range r.Size {
					got := r.Dev.Backend().SumSquares([]kernels.Array{pieces[0].Whole.Slice(1000*other, 1000*other+1)})
					if want := float64(other + 10*round); got != want*want {
						return errors.New("gathered before or after its time")
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", devices, err)
		}
	}
}
