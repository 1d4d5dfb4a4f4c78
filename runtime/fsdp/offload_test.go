package fsdp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dpolab/kernels/dtype"
	"dpolab/kernels/queuetest"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/nn"
	"dpolab/runtime/optim"
	"dpolab/runtime/tensor"
)

// TestOffloadLeavesTheDeviceEmpty: between steps a rank's device holds nothing
// of masters, gradients and optimizer state; the host does.
func TestOffloadLeavesTheDeviceEmpty(t *testing.T) {
	w := newWorldOn(t, "cuda:0,0")
	err := w.Run(func(r *distributed.Rank) error {
		m := wide()
		f, err := spread(m, r, fsdp.Config{BlockName: class, CPUOffload: true})
		if err != nil {
			return err
		}
		opt := optim.NewRMSprop(nn.NamedParameters(m), optim.DefaultRMSpropConfig(1e-4))
		m.step(r, 1)
		opt.Step(1)
		host, err := r.Host()
		if err != nil {
			return err
		}
		if live := r.Dev.MemoryStats().LiveBytes; live > 64<<10 {
			return fmt.Errorf("%d bytes on the device, the shards are %d", live, f.ShardBytes())
		}
		if live := host.MemoryStats().LiveBytes; live < 3*int64(f.ShardBytes()) {
			return fmt.Errorf("%d bytes on the host, want masters, gradients and state of %d each", live, f.ShardBytes())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTransfersRunAhead: parameters are on their way to the device one block
// before they are computed with, gradients on their way back while the block
// before computes its own.
func TestTransfersRunAhead(t *testing.T) {
	var log []string
	queuetest.Register(queuetest.Options{Delay: delay, Observe: func(what string) {
		if n := len(log); n > 0 {
			var times int
			if _, err := fmt.Sscanf(log[n-1], what+" %d", &times); err == nil {
				log[n-1] = fmt.Sprint(what, " ", times+1)
				return
			}
		}
		log = append(log, what+" 1")
	}})
	t.Cleanup(func() { queuetest.Register(queuetest.Options{Delay: delay}) })
	w := newWorldOn(t, "cuda:0")
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		f, err := spread(m, r, fsdp.Config{BlockName: class, CPUOffload: true})
		if err != nil {
			return err
		}
		defer f.Release()
		for i, b := range m.blocks {
			b.inside = func(_ *block, x *tensor.Tensor) *tensor.Tensor {
				log = append(log, fmt.Sprint("compute ", i))
				return tensor.Hook(x, func() { log = append(log, fmt.Sprint("backward ", i)) })
			}
		}
		for range 2 { // the second step knows the order from the first
			log = nil
			m.step(r, 1)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A block has four parameters, the root three.
	want := []string{"upload 11", "compute 0", "upload 4", "compute 1", "compute 2",
		"upload 8", "backward 2", "download 4", "upload 4", "backward 1", "download 4", "backward 0", "download 7"}
	if !slices.Equal(log, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(log, "\n"), strings.Join(want, "\n"))
	}
}

// TestOffloadFollowsThePrecision: what is sent is cast again when the precision
// or the masters change, so that offloading changes no bit.
func TestOffloadFollowsThePrecision(t *testing.T) {
	for _, devices := range []string{"cuda:0", "cuda:0,0"} {
		results := map[bool]map[string][]float32{}
		for _, offload := range []bool{false, true} {
			w := newWorldOn(t, devices)
			err := w.Run(func(r *distributed.Rank) error {
				m := small()
				f, err := spread(m, r, fsdp.Config{BlockName: class, CPUOffload: offload, MixedPrecision: fsdp.BFloat16Mixed()})
				if err != nil {
					return err
				}
				opt := optim.NewSGD(nn.NamedParameters(m), optim.DefaultSGDConfig(0.01))
				for i, mp := range []fsdp.MixedPrecision{fsdp.BFloat16Mixed(), fsdp.FullPrecision(), fsdp.Uniform(dtype.Float16), fsdp.BFloat16Mixed()} {
					if err := f.SetMixedPrecision(mp); err != nil {
						return err
					}
					for range 2 {
						m.step(r, float64(i))
						opt.Step(1)
						nn.ZeroGrad(m)
					}
				}
				out := masters(f)
				if r.Rank == 0 {
					results[offload] = out
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		sameBits(t, results[true], results[false])
		if err := near("parameter", results[true], results[false], 0); err != nil { // NaN is near nothing
			t.Error(err)
		}
	}
}

// TestPageLockedMemoryIsBounded: each group's rows and two groups' gradients, however
// many steps are taken, and nothing after Release.
func TestPageLockedMemoryIsBounded(t *testing.T) {
	w := newWorldOn(t, "cuda:0,0")
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		f, err := spread(m, r, fsdp.Config{BlockName: class, CPUOffload: true})
		if err != nil {
			return err
		}
		device := r.Dev.Backend().(*queuetest.Backend)
		for i := range 3 {
			m.step(r, float64(i))
		}
		if got := device.Pinned(); got < 5 || got > 4+3 { // the root's gradients have a size of their own
			return fmt.Errorf("%d blocks of page-locked memory for 4 groups", got)
		}
		f.Release()
		if got := device.Pinned(); got != 0 {
			return fmt.Errorf("%d blocks of page-locked memory are left", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// delay is slept before each piece of work on the tests' second queue.
const delay = 20 * time.Microsecond
