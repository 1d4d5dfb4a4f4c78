package fsdp_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/nn"
	"dpolab/runtime/optim"
	"dpolab/runtime/tensor"
)

// wide has nearly all its parameters in eight equal blocks, so that memory is
// theirs: 8·(2·128·512+640)·4 bytes are 4.2 MB.
func wide() *net { return newNet(8, 128, 512) }

// usage is what one rank's allocator says of a training step.
type usage struct {
	load, held, peak, after int64 // peak of loading, kept after it, peak of a step, kept after that
	shard, gathered         int64 // by the model's own account
}

func measure(t *testing.T, ranks int, cfg fsdp.Config) usage {
	t.Helper()
	var all []usage
	w := newWorld(t, ranks)
	err := w.Run(func(r *distributed.Rank) error {
		m := wide()
		f, err := fsdp.FullyShard(m, r, cfg) // from meta
		if err != nil {
			return err
		}
		u := usage{load: f.MemoryStats().PeakBytes, held: f.MemoryStats().LiveBytes, shard: int64(f.ShardBytes()), gathered: int64(f.ParameterBytes())}
		nn.Initialize(m, 0.02, 1)
		opt := optim.NewRMSprop(nn.NamedParameters(m), optim.DefaultRMSpropConfig(1e-4))
		for range 2 { // the second has optimizer state
			r.Dev.Backend().ResetPeak()
			m.step(r, 1)
			opt.Step(1)
			nn.ZeroGrad(m)
			u.peak = f.MemoryStats().PeakBytes
		}
		u.after = f.MemoryStats().LiveBytes
		r.Group.Barrier()
		for turn := range r.Size {
			if turn == r.Rank {
				all = append(all, u)
			}
			r.Group.Barrier()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	worst := usage{}
	for _, u := range all {
		worst = usage{max(worst.load, u.load), max(worst.held, u.held), max(worst.peak, u.peak), max(worst.after, u.after), max(worst.shard, u.shard), u.gathered}
	}
	return worst
}

// TestMemoryPerRankFallsWithTheWorld by the allocators' own figures, the rank
// that holds most counting.
func TestMemoryPerRankFallsWithTheWorld(t *testing.T) {
	total := int64(4 * nn.NumParameters(wide()))
	of := map[int]usage{}
	for _, ranks := range []int{1, 2, 4} {
		u := measure(t, ranks, fsdp.Config{BlockName: class})
		of[ranks] = u
		t.Logf("%d ranks: %+v", ranks, u)
		n := int64(ranks)
		// Rows that the world does not divide, and rounding to whole cache lines.
		slack := int64(32 << 10)
		if u.shard < total/n || u.shard > total/n+slack {
			t.Errorf("%d ranks: shards of %d bytes, want about %d", ranks, u.shard, total/n)
		}
		if u.load > u.shard+slack || u.held > u.shard+slack {
			t.Errorf("%d ranks: loading held %d bytes and left %d, want the shard's %d", ranks, u.load, u.held, u.shard)
		}
		// Masters and RMSprop's state stay, nothing gathered does.
		if u.after > 2*u.shard+slack {
			t.Errorf("%d ranks: %d bytes kept between steps, want %d", ranks, u.after, 2*u.shard)
		}
		// A step adds the gradients' shard and a few blocks in full.
		blockBytes := total / 8
		if most := 3*u.shard + 5*blockBytes + slack; u.peak > most {
			t.Errorf("%d ranks: peak of %d bytes, want at most %d", ranks, u.peak, most)
		}
	}
	if !(of[1].peak > of[2].peak*13/10 && of[2].peak > of[4].peak*13/10) {
		t.Errorf("peaks %d, %d and %d bytes on 1, 2 and 4 ranks", of[1].peak, of[2].peak, of[4].peak)
	}
}

// TestMemoryOfStrategiesAndPrecisions: what a user trades.
func TestMemoryOfStrategiesAndPrecisions(t *testing.T) {
	full := measure(t, 4, fsdp.Config{BlockName: class})
	gradOp := measure(t, 4, fsdp.Config{BlockName: class, Strategy: fsdp.ShardGradOp})
	none := measure(t, 4, fsdp.Config{BlockName: class, Strategy: fsdp.NoShard})
	hybrid := measure(t, 4, fsdp.Config{BlockName: class, Strategy: fsdp.HybridShard, ShardSize: 2})
	low := measure(t, 4, fsdp.Config{BlockName: class, MixedPrecision: fsdp.Uniform(dtype.BFloat16)})
	lowGradOp := measure(t, 4, fsdp.Config{BlockName: class, Strategy: fsdp.ShardGradOp, MixedPrecision: fsdp.Uniform(dtype.BFloat16)})
	if !(full.peak < gradOp.peak && gradOp.peak < none.peak && full.peak < hybrid.peak && hybrid.peak < none.peak) {
		t.Errorf("peaks: FULL_SHARD %d, SHARD_GRAD_OP %d, HYBRID_SHARD %d, NO_SHARD %d", full.peak, gradOp.peak, hybrid.peak, none.peak)
	}
	if none.shard != full.gathered || !(2*hybrid.shard >= none.shard && 2*hybrid.shard < none.shard+64<<10) {
		t.Errorf("masters: NO_SHARD %d of %d, HYBRID_SHARD %d", none.shard, full.gathered, hybrid.shard)
	}
	if 2*low.gathered != full.gathered || low.shard != full.shard || lowGradOp.shard != gradOp.shard {
		t.Errorf("bfloat16: gathered %d against %d, masters %d against %d", low.gathered, full.gathered, low.shard, full.shard)
	}
	// What SHARD_GRAD_OP keeps gathered is half as large.
	if saved := gradOp.peak - lowGradOp.peak; saved < full.gathered*4/10 {
		t.Errorf("bfloat16 saves %d of %d gathered bytes", saved, full.gathered)
	}
}

// TestFromWhole frees what the other ranks keep.
func TestFromWhole(t *testing.T) {
	w := newWorld(t, 4)
	err := w.Run(func(r *distributed.Rank) error {
		m := wide()
		nn.Materialize(m, r.Dev, dtype.BFloat16)
		whole := r.Dev.MemoryStats().LiveBytes
		f, err := fsdp.FullyShard(m, r, fsdp.Config{BlockName: class})
		if err != nil {
			return err
		}
		if live := f.MemoryStats().LiveBytes; live > whole/4+32<<10 || int64(f.ShardBytes()) > live {
			return fmt.Errorf("%d bytes kept of %d, shards are %d", live, whole, f.ShardBytes())
		}
		if dt := m.embed.Weight.Master().DType(); dt != dtype.BFloat16 {
			return fmt.Errorf("masters became %s", dt)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestUnshardKeepsTheModelGathered until Reshard.
func TestUnshardKeepsTheModelGathered(t *testing.T) {
	w := newWorld(t, 4)
	err := w.Run(func(r *distributed.Rank) error {
		m := wide()
		f, err := spread(m, r, fsdp.Config{BlockName: class})
		if err != nil {
			return err
		}
		forward := func() (out []float32) {
			r.Dev.NoGrad(func() {
				r.Dev.Scope(func() *tensor.Tensor {
					out = m.forward(tensor.FromInt32(r.Dev, []int32{1, 2, 3})).Float32s()
					return nil
				})
			})
			return out
		}
		live := func() int64 { return f.MemoryStats().LiveBytes }
		before, want := live(), forward()
		if got := live(); got != before {
			return fmt.Errorf("a forward leaves %d bytes", got-before)
		}
		f.Unshard()
		gathered := live() - before
		if gathered < int64(f.ParameterBytes()) || gathered > int64(f.ParameterBytes())+32<<10 {
			return fmt.Errorf("Unshard takes %d bytes for parameters of %d", gathered, f.ParameterBytes())
		}
		if r.Rank == 0 { // needs nobody any more
			if err := near("output", map[string][]float32{"y": forward()}, map[string][]float32{"y": want}, 0); err != nil {
				return err
			}
		}
		if got := live() - before; got != gathered {
			return fmt.Errorf("%d of %d gathered bytes left after a forward", got, gathered)
		}
		f.Reshard()
		if got := live(); got != before {
			return fmt.Errorf("Reshard leaves %d bytes", got-before)
		}
		return near("output", map[string][]float32{"y": forward()}, map[string][]float32{"y": want}, 0)
	})
	if err != nil {
		t.Error(err)
	}
}

var errBlock = errors.New("the block fails")

// TestRecover: after a step that failed in forward or in backward, on one rank
// or on all, Recover leaves the memory and the gradients of before.
func TestRecover(t *testing.T) {
	_, want, _ := single(t, 1)
	for _, c := range []struct {
		name     string
		backward bool
		ranks    []bool
	}{{"forward", false, []bool{true, true}}, {"forward of one rank", false, []bool{false, true}}, {"backward", true, []bool{true, true}}, {"backward of one rank", true, []bool{true, false}}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 2)
			models, sharded := make([]*net, 2), make([]*fsdp.Model, 2)
			live := make([]int64, 2)
			if err := w.Run(func(r *distributed.Rank) (err error) {
				models[r.Rank] = small()
				sharded[r.Rank], err = spread(models[r.Rank], r, fsdp.Config{BlockName: class})
				live[r.Rank] = r.Dev.MemoryStats().LiveBytes
				return err
			}); err != nil {
				t.Fatal(err)
			}
			err := w.Run(func(r *distributed.Rank) error {
				m := models[r.Rank]
				if c.ranks[r.Rank] {
					m.blocks[1].inside = func(b *block, x *tensor.Tensor) *tensor.Tensor {
						if c.backward {
							return tensor.Hook(x, func() { panic(&tensor.Error{Op: "test", Err: errBlock}) })
						}
						panic(&tensor.Error{Op: "test", Err: errBlock})
					}
				}
				m.step(r, 2)
				return nil
			})
			if !errors.Is(err, errBlock) {
				t.Fatalf("the failing step returned %v", err)
			}
			err = w.Run(func(r *distributed.Rank) error {
				m, f := models[r.Rank], sharded[r.Rank]
				m.blocks[1].inside = nil
				f.Recover()
				nn.ZeroGrad(m)
				if got := r.Dev.MemoryStats().LiveBytes; got != live[r.Rank] {
					return fmt.Errorf("%d bytes live after Recover, %d before the step", got, live[r.Rank])
				}
				m.step(r, 1)
				return near("gradient", gradients(f), want, 1e-5)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGroupsAddUp to the model, for plans.
func TestGroupsAddUp(t *testing.T) {
	w := newWorld(t, 2)
	err := w.Run(func(r *distributed.Rank) error {
		m := wide()
		f, err := fsdp.FullyShard(m, r, fsdp.Config{BlockName: class, MixedPrecision: fsdp.BFloat16Mixed()})
		if err != nil {
			return err
		}
		var names []string
		sum := fsdp.GroupInfo{}
		for _, g := range f.Groups() {
			names = append(names, g.Name)
			sum.Parameters, sum.ShardBytes = sum.Parameters+g.Parameters, sum.ShardBytes+g.ShardBytes
			sum.GatherBytes, sum.ReduceBytes = sum.GatherBytes+g.GatherBytes, sum.ReduceBytes+g.ReduceBytes
		}
		n := nn.NumParameters(m)
		if sum.Parameters != n || sum.ShardBytes != f.ShardBytes() || sum.GatherBytes != 2*n || f.ParameterBytes() != 2*n || sum.ReduceBytes != 4*n {
			return fmt.Errorf("groups %s add up to %+v, the model has %d parameters", strings.Join(names, ", "), sum, n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
