package fsdp_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/nn"
	"dpolab/runtime/optim"
	"dpolab/runtime/tensor"
)

// round returns values as a 16-bit type stores them.
func round(values []float32, dt dtype.DType) []float32 {
	out := slices.Clone(values)
	for i, v := range out {
		switch dt {
		case dtype.BFloat16:
			out[i] = dtype.Float32FromBFloat16(dtype.BFloat16FromFloat32(v))
		case dtype.Float16:
			out[i] = dtype.Float32FromFloat16(dtype.Float16FromFloat32(v))
		}
	}
	return out
}

// TestForwardSeesRoundedMasters: while a block computes, its parameters are
// the masters rounded to ParamDType and nothing else, whole on every rank, in
// forward and in the recomputation that backward does; the masters are float32
// all the while.
func TestForwardSeesRoundedMasters(t *testing.T) {
	for _, dt := range []dtype.DType{dtype.Float32, dtype.BFloat16, dtype.Float16} {
		for _, ranks := range []int{1, 2, 4} {
			w := newWorld(t, ranks)
			err := w.Run(func(r *distributed.Rank) error {
				m := small()
				f, err := spread(m, r, fsdp.Config{BlockName: class, MixedPrecision: fsdp.Uniform(dt), ActivationCheckpointing: true})
				if err != nil {
					return err
				}
				want := masters(f)
				var failure error
				seen := 0
				for i, b := range m.blocks {
					b.inside = func(b *block, x *tensor.Tensor) *tensor.Tensor {
						seen++
						for _, np := range nn.NamedParameters(b) {
							name := fmt.Sprintf("blocks.%d.%s", i, np.Name)
							p := np.Parameter
							if p.Value.DType() != dt || !slices.Equal(p.Value.Float32s(), round(want[name], dt)) {
								failure = fmt.Errorf("%s is %v in forward, master %v", name, p.Value, want[name])
							}
							if p.Master().DType() != dtype.Float32 {
								failure = fmt.Errorf("master of %s is %s", name, p.Master().DType())
							}
						}
						if x.DType() != dt {
							failure = fmt.Errorf("block %d computes on %s", i, x.DType())
						}
						return x
					}
				}
				m.step(r, 1)
				if seen != 2*len(m.blocks) {
					return fmt.Errorf("blocks ran %d times, want %d", seen, 2*len(m.blocks))
				}
				return failure
			})
			if err != nil {
				t.Errorf("%s on %d ranks: %v", dt, ranks, err)
			}
		}
	}
}

// local returns each rank's own gradients in float32: what a world of one,
// computing in mp's ParamDType, makes of that rank's rows.
func local(t *testing.T, ranks int, paramDType dtype.DType, seed float64) []map[string][]float32 {
	t.Helper()
	var out []map[string][]float32
	w := newWorld(t, 1)
	err := w.Run(func(r *distributed.Rank) error {
		for rank := range ranks {
			m := small()
			f, err := spread(m, r, fsdp.Config{BlockName: class, MixedPrecision: fsdp.MixedPrecision{ParamDType: paramDType, ReduceDType: dtype.Float32}})
			if err != nil {
				return err
			}
			m.train(r.Dev, rank*batch/ranks, (rank+1)*batch/ranks, seed, float64(ranks))
			out = append(out, gradients(f))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReduceDType: the sum over ranks of the local gradients, each stored in
// ReduceDType, is rounded to it once and divided by the world size in float32;
// microbatches add up in float32. To the bit, but for the tied weight, which
// is stored between its two contributions.
func TestReduceDType(t *testing.T) {
	const ranks = 4
	first, second := local(t, ranks, dtype.BFloat16, 1), local(t, ranks, dtype.BFloat16, 2)
	var results []map[string][]float32
	for _, reduce := range []dtype.DType{dtype.Float32, dtype.BFloat16, dtype.Float16} {
		for _, strategy := range []fsdp.ShardingStrategy{fsdp.FullShard, fsdp.NoShard, fsdp.ShardGradOp} {
			w := newWorld(t, ranks)
			err := w.Run(func(r *distributed.Rank) error {
				m := small()
				f, err := spread(m, r, fsdp.Config{BlockName: class, Strategy: strategy,
					MixedPrecision: fsdp.MixedPrecision{ParamDType: dtype.BFloat16, ReduceDType: reduce}})
				if err != nil {
					return err
				}
				want := map[string][]float32{}
				for i, grads := range [][]map[string][]float32{first, second} {
					m.step(r, float64(i+1))
					for name := range grads[0] {
						sum := make([]float32, len(grads[0][name]))
						for _, g := range grads {
							for k, v := range round(g[name], reduce) {
								sum[k] += v
							}
						}
						if want[name] == nil {
							want[name] = make([]float32, len(sum))
						}
						for k, v := range round(sum, reduce) {
							want[name][k] += v / ranks
						}
					}
					got := gradients(f)
					for _, np := range nn.NamedParameters(m) {
						if g := np.Parameter.MasterGrad(); g.DType() != dtype.Float32 {
							return fmt.Errorf("gradient of %s is accumulated in %s", np.Name, g.DType())
						}
						if np.Name != "embed.weight" && !slices.Equal(got[np.Name], want[np.Name]) {
							return fmt.Errorf("microbatch %d: gradient of %s is %v, want %v", i, np.Name, got[np.Name], want[np.Name])
						}
					}
				}
				if r.Rank == 0 && strategy == fsdp.FullShard {
					results = append(results, want)
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s, %s: %v", reduce, strategy, err)
			}
		}
	}
	if len(results) != 3 || near("", results[1], results[0], 0) == nil || near("", results[2], results[0], 0) == nil {
		t.Fatal("the reduction type made no difference")
	}
}

// TestReduceDTypeFollowsParamDType where it is not given, as in FSDP1, and the
// zero value computes in float32 throughout.
func TestReduceDTypeFollowsParamDType(t *testing.T) {
	for _, c := range []struct {
		mp, as fsdp.MixedPrecision
		text   string
	}{
		{fsdp.MixedPrecision{ParamDType: dtype.BFloat16}, fsdp.MixedPrecision{ParamDType: dtype.BFloat16, ReduceDType: dtype.BFloat16}, "param=bfloat16 reduce=bfloat16 buffer=float32"},
		{fsdp.FullPrecision(), fsdp.Uniform(dtype.Float32), "param=float32 reduce=float32 buffer=float32"},
		{fsdp.BFloat16Mixed(), fsdp.MixedPrecision{ParamDType: dtype.BFloat16, ReduceDType: dtype.Float32}, "param=bfloat16 reduce=float32 buffer=float32"},
	} {
		if c.mp.String() != c.text {
			t.Errorf("%+v is written %s, want %s", c.mp, c.mp, c.text)
		}
		var grads [2]map[string][]float32
		for i, mp := range []fsdp.MixedPrecision{c.mp, c.as} {
			w := newWorld(t, 2)
			if err := w.Run(func(r *distributed.Rank) error {
				m := small()
				f, err := spread(m, r, fsdp.Config{BlockName: class, MixedPrecision: mp})
				if err != nil {
					return err
				}
				m.step(r, 1)
				if g := gradients(f); r.Rank == 0 {
					grads[i] = g
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := near("gradient", grads[0], grads[1], 0); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	if fsdp.FullPrecision().NeedsLossScale() || fsdp.BFloat16Mixed().NeedsLossScale() || !fsdp.Float16Mixed().NeedsLossScale() ||
		!(fsdp.MixedPrecision{ReduceDType: dtype.Float16}).NeedsLossScale() {
		t.Error("a loss scale is needed where gradients pass through float16, and nowhere else")
	}
}

// TestBufferDType rounds buffers, keeps rotary tables float32, and gives back
// what was there before.
func TestBufferDType(t *testing.T) {
	w := newWorld(t, 2)
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		values := []float32{1, 0.1, math.Pi}
		plain := m.AddBuffer("plain", nn.NewBuffer(values, false, 3))
		table := m.blocks[0].AddBuffer("table", nn.NewBuffer(values, true, 3))
		f, err := spread(m, r, fsdp.Config{BlockName: class, MixedPrecision: fsdp.Uniform(dtype.BFloat16)})
		if err != nil {
			return err
		}
		for _, dt := range []dtype.DType{dtype.BFloat16, dtype.Float16, dtype.Float32, dtype.BFloat16} {
			if err := f.SetMixedPrecision(fsdp.Uniform(dt)); err != nil {
				return err
			}
			if plain.Value.DType() != dt || !slices.Equal(plain.Value.Float32s(), round(values, dt)) {
				return fmt.Errorf("buffer in %s is %v", dt, plain.Value)
			}
			if table.Value.DType() != dtype.Float32 || !slices.Equal(table.Value.Float32s(), values) {
				return fmt.Errorf("rotary table in %s is %v", dt, table.Value)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// snapshot has the bits, and the place in memory, of masters and state.
func snapshot(m nn.Module, opt optim.Optimizer) (out []uint64) {
	add := func(x *tensor.Tensor) {
		out = append(out, uint64(uintptr(x.Array().Data)))
		for _, v := range x.Float32s() {
			out = append(out, uint64(math.Float32bits(v)))
		}
	}
	for _, p := range nn.Parameters(m) {
		add(p.Master())
	}
	for _, s := range opt.State() {
		add(s.Tensor)
	}
	return out
}

// TestSetMixedPrecisionKeepsMasters and optimizer state, bit for bit and
// without a copy, and the steps after a visit to bfloat16 are those without.
func TestSetMixedPrecisionKeepsMasters(t *testing.T) {
	for _, strategy := range []fsdp.ShardingStrategy{fsdp.FullShard, fsdp.NoShard} {
		var outs [2]map[string][]float32
		for visit := range 2 {
			w := newWorld(t, 2)
			err := w.Run(func(r *distributed.Rank) error {
				m := small()
				f, err := spread(m, r, fsdp.Config{BlockName: class, Strategy: strategy})
				if err != nil {
					return err
				}
				opt := optim.NewAdamW(nn.NamedParameters(m), optim.DefaultAdamWConfig(0.01))
				train := func(seed float64) {
					m.step(r, seed)
					opt.Step(1)
					nn.ZeroGrad(m)
				}
				train(1)
				train(2)
				before := snapshot(m, opt)
				if visit == 1 {
					for _, mp := range []fsdp.MixedPrecision{fsdp.BFloat16Mixed(), fsdp.Float16Mixed(), fsdp.Uniform(dtype.BFloat16)} {
						if err := f.SetMixedPrecision(mp); err != nil {
							return err
						}
						if f.MixedPrecision() != mp {
							return fmt.Errorf("precision is %s after setting %s", f.MixedPrecision(), mp)
						}
						m.step(r, 3) // forward and backward in it, but no update
						nn.ZeroGrad(m)
						if !slices.Equal(snapshot(m, opt), before) {
							return fmt.Errorf("%s changed masters or optimizer state", mp)
						}
					}
					if err := f.SetMixedPrecision(fsdp.FullPrecision()); err != nil {
						return err
					}
				}
				train(4)
				if p := masters(f); r.Rank == 0 {
					outs[visit] = p
				}
				return nil
			})
			if err != nil {
				t.Fatalf("%s: %v", strategy, err)
			}
		}
		if err := near("master", outs[1], outs[0], 0); err != nil {
			t.Errorf("%s, after bfloat16 and back: %v", strategy, err)
		}
	}
}

// TestSetMixedPrecisionInTheMiddle is refused during backward, and a backward
// of what an earlier precision recorded fails by name.
func TestSetMixedPrecisionInTheMiddle(t *testing.T) {
	w := newWorld(t, 2)
	var refused error
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		f, err := spread(m, r, fsdp.Config{BlockName: class})
		if err != nil {
			return err
		}
		if err := f.SetMixedPrecision(fsdp.MixedPrecision{ParamDType: dtype.Int64}); err == nil {
			return fmt.Errorf("int64 parameters were accepted")
		}
		m.blocks[0].inside = func(b *block, x *tensor.Tensor) *tensor.Tensor {
			return tensor.Hook(x, func() {
				if err := f.SetMixedPrecision(fsdp.BFloat16Mixed()); r.Rank == 0 {
					refused = err
				}
			})
		}
		m.step(r, 1)
		return nil
	})
	if err != nil || refused == nil || !strings.Contains(refused.Error(), "in the middle of a backward pass") {
		t.Errorf("%v, SetMixedPrecision said %v", err, refused)
	}
	err = w.Run(func(r *distributed.Rank) error {
		m := small()
		f, err := spread(m, r, fsdp.Config{BlockName: class})
		if err != nil {
			return err
		}
		y := m.forward(tensor.FromInt32(r.Dev, []int32{1, 2}))
		if err := f.SetMixedPrecision(fsdp.BFloat16Mixed()); err != nil {
			return err
		}
		y.Sum().Backward(nil)
		return nil
	})
	var misuse *tensor.Error
	if !errors.As(err, &misuse) {
		t.Errorf("backward in another precision than forward: %v, want a *tensor.Error", err)
	}
}
