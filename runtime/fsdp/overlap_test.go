package fsdp_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/kernels/nccl/nccltest"
	"dpolab/kernels/queuetest"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/nn"
	"dpolab/runtime/optim"
	"dpolab/runtime/tensor"
)

// TestMain has GPUs whose second queue is slow, so that what does not wait for
// it is wrong.
func TestMain(m *testing.M) {
	queuetest.Register(queuetest.Options{Delay: delay})
	remove := nccltest.Use()
	code := m.Run()
	remove()
	os.Exit(code)
}

// recorder notes when collectives are started and waited for.
type recorder struct {
	distributed.ProcessGroup
	label string
	log   *[]string
}

func (g *recorder) Label(module string) {
	g.label = strings.TrimPrefix(module, class+" ")
	g.ProcessGroup.Label(module)
}

func (g *recorder) Overlaps() bool { return true }

func (g *recorder) StartAllGather(pieces []distributed.Piece) *distributed.Work {
	return g.started("gather", g.ProcessGroup.StartAllGather(pieces))
}

func (g *recorder) StartReduceScatter(pieces []distributed.Piece) *distributed.Work {
	return g.started("reduce", g.ProcessGroup.StartReduceScatter(pieces))
}

func (g *recorder) StartAllReduce(arrays []kernels.Array) *distributed.Work {
	return g.started("all-reduce", g.ProcessGroup.StartAllReduce(arrays))
}

func (g *recorder) started(what string, w *distributed.Work) *distributed.Work {
	what += " " + g.label
	*g.log = append(*g.log, what)
	return distributed.NewWork(func() {
		*g.log = append(*g.log, "wait for "+what)
		w.Wait()
	})
}

// TestOrderOfCollectives: the next block is gathered before a block computes,
// in both directions, one block ahead and no more; gradients are reduced while
// the block before computes its own.
func TestOrderOfCollectives(t *testing.T) {
	want := []string{
		"gather root", "wait for gather root", "gather 0",
		"wait for gather 0", "gather 1", "compute 0",
		"wait for gather 1", "gather 2", "compute 1",
		"wait for gather 2", "compute 2",
		// backward: the root is whole still
		"gather 2",
		"wait for gather 2", "gather 1", "backward 2", "reduce 2",
		"wait for gather 1", "gather 0", "backward 1", "wait for reduce 2", "reduce 1",
		"wait for gather 0", "backward 0", "wait for reduce 1", "reduce 0",
		"wait for reduce 0", "reduce root", "wait for reduce root",
	}
	logs := make([][]string, 2)
	w := newWorld(t, 2)
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		f, err := spread(m, r, fsdp.Config{BlockName: class})
		if err != nil {
			return err
		}
		log := &logs[r.Rank]
		f.Mesh.Shard = &recorder{ProcessGroup: f.Mesh.Shard, log: log}
		for i, b := range m.blocks {
			b.inside = func(_ *block, x *tensor.Tensor) *tensor.Tensor {
				*log = append(*log, fmt.Sprint("compute ", i))
				return tensor.Hook(x, func() { *log = append(*log, fmt.Sprint("backward ", i)) })
			}
		}
		for range 2 { // the second step knows the order from the first
			*log = nil
			m.step(r, 1)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for rank, log := range logs {
		if !slices.Equal(log, want) {
			t.Errorf("rank %d:\n%s\nwant\n%s", rank, strings.Join(log, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestReplicasOverlapToo: under HYBRID_SHARD the sum over replicas follows that
// over the shard at once, and both are waited for after the block before has
// computed its gradients.
func TestReplicasOverlapToo(t *testing.T) {
	want := []string{
		"backward 2", "reduce 2", "all-reduce 2",
		"backward 1", "wait for reduce 2", "wait for all-reduce 2", "reduce 1", "all-reduce 1",
		"backward 0", "wait for reduce 1", "wait for all-reduce 1", "reduce 0", "all-reduce 0",
		"wait for reduce 0", "wait for all-reduce 0", "reduce root", "all-reduce root", "wait for reduce root", "wait for all-reduce root",
	}
	logs := make([][]string, 4)
	w := newWorld(t, 4)
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		f, err := spread(m, r, fsdp.Config{BlockName: class, Strategy: fsdp.HybridShard, ShardSize: 2})
		if err != nil {
			return err
		}
		log := &logs[r.Rank]
		f.Mesh.Shard = &recorder{ProcessGroup: f.Mesh.Shard, log: log}
		f.Mesh.Replicate = &recorder{ProcessGroup: f.Mesh.Replicate, log: log}
		for i, b := range m.blocks {
			b.inside = func(_ *block, x *tensor.Tensor) *tensor.Tensor {
				return tensor.Hook(x, func() { *log = append(*log, fmt.Sprint("backward ", i)) })
			}
		}
		m.step(r, 1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for rank, log := range logs {
		log = slices.DeleteFunc(log, func(s string) bool { return strings.Contains(s, "gather") })
		if !slices.Equal(log, want) {
			t.Errorf("rank %d:\n%s\nwant\n%s", rank, strings.Join(log, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestAnotherWay: a forward that leaves a block out, and one that takes them in
// another order than they are registered, give the gradients of a model whose
// groups wait for everything.
func TestAnotherWay(t *testing.T) {
	grads := map[bool][2]map[string][]float32{}
	for _, recorded := range []bool{false, true} {
		w := newWorld(t, 2)
		var got [2]map[string][]float32
		err := w.Run(func(r *distributed.Rank) error {
			m := small()
			f, err := spread(m, r, fsdp.Config{BlockName: class})
			if err != nil {
				return err
			}
			if recorded {
				f.Mesh.Shard = &recorder{ProcessGroup: f.Mesh.Shard, log: new([]string)}
			}
			all := m.blocks
			for i, way := range [][]*block{{all[2], all[0], all[1]}, {all[2], all[1]}, {all[0], all[1], all[2]}} {
				m.blocks = way
				m.step(r, float64(i))
			}
			if live := f.MemoryStats().LiveBytes; live > 4*int64(f.ShardBytes())+4096 {
				return fmt.Errorf("%d bytes are left, the shards are %d", live, f.ShardBytes())
			}
			if g := gradients(f); r.Rank == 0 {
				got[0] = g
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		grads[recorded] = got
	}
	if err := near("gradient", grads[true][0], grads[false][0], 0); err != nil {
		t.Error(err)
	}
}

// outcome is the bits of everything a few steps leave.
func outcome(t *testing.T, w *distributed.World, cfg fsdp.Config, steps int) map[string][]float32 {
	t.Helper()
	var got map[string][]float32
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		f, err := spread(m, r, cfg)
		if err != nil {
			return err
		}
		opt := optim.NewAdamW(nn.NamedParameters(m), optim.DefaultAdamWConfig(0.01))
		var norms []float32
		for i := range steps {
			m.step(r, float64(i)) // two microbatches
			m.step(r, float64(i)+0.5)
			norm := f.GradNorm()
			norms = append(norms, float32(norm))
			opt.Step(fsdp.ClipCoefficient(norm, 0.5))
			nn.ZeroGrad(m)
		}
		out := masters(f)
		for _, s := range opt.State() {
			full := f.FullTensor(s.Parameter, s.Tensor)
			out[s.Param+"/"+s.Kind] = full.Float32s()
			full.Release()
		}
		out["norms"] = norms
		if r.Rank == 0 {
			got = out
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func sameBits(t *testing.T, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d arrays, want %d", len(got), len(want))
	}
	for name, w := range want {
		for i := range w {
			if math.Float32bits(got[name][i]) != math.Float32bits(w[i]) {
				t.Errorf("%s[%d] is %g, want %g", name, i, got[name][i], w[i])
				break
			}
		}
	}
}

// TestRanksOnOneDeviceEqualRanksOfTheCPU, and so do those with a device each
// (the tests' NCCL adds as the CPU does) and offloading, bit for bit:
// overlapping changes when things happen, never what.
func TestRanksOnOneDeviceEqualRanksOfTheCPU(t *testing.T) {
	for _, c := range []struct {
		strategy fsdp.ShardingStrategy
		mp       fsdp.MixedPrecision
		ranks    int
	}{
		{fsdp.FullShard, fsdp.FullPrecision(), 3}, {fsdp.FullShard, fsdp.Uniform(dtype.BFloat16), 2},
		{fsdp.ShardGradOp, fsdp.BFloat16Mixed(), 3}, {fsdp.NoShard, fsdp.FullPrecision(), 2},
		{fsdp.HybridShard, fsdp.Uniform(dtype.BFloat16), 4}, {fsdp.FullShard, fsdp.BFloat16Mixed(), 1},
	} {
		t.Run(fmt.Sprintf("%s/%d/%s", c.strategy, c.ranks, c.mp), func(t *testing.T) {
			cpu, gpu := fmt.Sprint("cpu:", c.ranks), "cuda:"+strings.Repeat("0,", c.ranks-1)+"0"
			cfg := fsdp.Config{BlockName: class, Strategy: c.strategy, ShardSize: 2, MixedPrecision: c.mp}
			want := outcome(t, newWorldOn(t, cpu), cfg, 2)
			cfg.ActivationCheckpointing = c.strategy == fsdp.FullShard
			sameBits(t, outcome(t, newWorldOn(t, gpu), cfg, 2), want)
			sameBits(t, outcome(t, newWorldOn(t, "cuda:0,1,2,3"[:4+2*c.ranks]), cfg, 2), want)
			cfg.CPUOffload = true
			sameBits(t, outcome(t, newWorldOn(t, gpu), cfg, 2), want)
			sameBits(t, outcome(t, newWorldOn(t, cpu), cfg, 2), want)
		})
	}
}

// TestPrefetchBindsOneBlockMore on a device than where nothing is gathered
// ahead.
func TestPrefetchBindsOneBlockMore(t *testing.T) {
	peak := map[string]int64{}
	var block int64
	for _, devices := range []string{"cpu:2", "cuda:0,0"} {
		w := newWorldOn(t, devices)
		err := w.Run(func(r *distributed.Rank) error {
			m := wide()
			f, err := spread(m, r, fsdp.Config{BlockName: class})
			if err != nil {
				return err
			}
			r.Dev.Backend().(interface{ ResetPeak() }).ResetPeak()
			m.step(r, 1)
			if r.Rank == 0 {
				peak[devices] = f.MemoryStats().PeakBytes
				block = int64(f.Groups()[0].GatherBytes)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// The parameters of the next block, and the gradients of the last one with
	// their part.
	if more := peak["cuda:0,0"] - peak["cpu:2"]; more <= 0 || more > block*5/2+64<<10 {
		t.Errorf("%d bytes more, a block is %d", more, block)
	}
}

// TestFailureOnADevice: a rank that fails in the middle of an overlapped step
// releases the others, and the next step is as if nothing had happened.
func TestFailureOnADevice(t *testing.T) {
	w := newWorldOn(t, "cuda:0,0")
	models, sharded := make([]*net, 2), make([]*fsdp.Model, 2)
	_, want, _ := single(t, 1)
	err := w.Run(func(r *distributed.Rank) (err error) {
		m := small()
		models[r.Rank] = m
		sharded[r.Rank], err = spread(m, r, fsdp.Config{BlockName: class})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, backward := range []bool{false, true} {
		err = w.Run(func(r *distributed.Rank) error {
			if r.Rank == 1 {
				fail := func() { panic(&kernels.Error{Op: "gemm", Err: errBlock}) }
				models[1].blocks[1].inside = func(_ *block, x *tensor.Tensor) *tensor.Tensor {
					if backward {
						return tensor.Hook(x, fail)
					}
					fail()
					return x
				}
			}
			models[r.Rank].step(r, 1)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), errBlock.Error()) {
			t.Fatalf("Run returned %v", err)
		}
		err = w.Run(func(r *distributed.Rank) error {
			m, f := models[r.Rank], sharded[r.Rank]
			m.blocks[1].inside = nil
			f.Recover()
			nn.ZeroGrad(m)
			m.step(r, 1)
			return near("gradient", gradients(f), want, 1e-5)
		})
		if err != nil {
			t.Error(err)
		}
	}
}
