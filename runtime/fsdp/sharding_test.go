package fsdp_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
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

// TestStepEqualsOneDevice takes a step under every strategy, on one to four
// ranks, from meta and from a whole model, and wants one device's output,
// gradients, norm and updated parameters.
func TestStepEqualsOneDevice(t *testing.T) {
	wantOut, wantGrads, before := single(t, 1)
	sum := 0.0
	after := map[string][]float32{}
	for name, g := range wantGrads {
		for i, v := range g {
			sum += float64(v) * float64(v)
			after[name] = append(after[name], before[name][i]-0.05*v)
		}
	}
	norm := math.Sqrt(sum)
	for _, strategy := range []fsdp.ShardingStrategy{fsdp.FullShard, fsdp.ShardGradOp, fsdp.NoShard, fsdp.HybridShard} {
		for _, ranks := range []int{1, 2, 3, 4} {
			for _, c := range []struct {
				name             string
				block            string
				whole, recompute bool
				shardSize        int
			}{{"blocks", class, false, false, 1}, {"one group", "", true, false, 1}, {"recomputed", class, true, true, ranks}} {
				if strategy == fsdp.HybridShard && ranks == 4 {
					c.shardSize = 2
				}
				t.Run(fmt.Sprintf("%s/%d/%s", strategy, ranks, c.name), func(t *testing.T) {
					w := newWorld(t, ranks)
					err := w.Run(func(r *distributed.Rank) error {
						m := small()
						if c.whole {
							nn.Materialize(m, r.Dev, dtype.Float32)
						}
						f, err := spread(m, r, fsdp.Config{BlockName: c.block, Strategy: strategy, ShardSize: c.shardSize, ActivationCheckpointing: c.recompute})
						if err != nil {
							return err
						}
						if err := near("start", masters(f), before, 0); err != nil {
							return err
						}
						lo, hi := share(r)
						out := map[string][]float32{"y": m.step(r, 1)}
						if err := near("output", out, map[string][]float32{"y": wantOut[lo*vocabulary : hi*vocabulary]}, 1e-5); err != nil {
							return err
						}
						if err := near("gradient", gradients(f), wantGrads, 1e-5); err != nil {
							return err
						}
						if got := f.GradNorm(); !(math.Abs(got-norm) <= 1e-5*norm) {
							return fmt.Errorf("gradient norm %g, want %g", got, norm)
						}
						optim.NewSGD(nn.NamedParameters(m), optim.DefaultSGDConfig(0.05)).Step(1)
						return near("step", masters(f), after, 1e-5)
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// TestShardsCoverEveryRowOnce, also when there are fewer rows than ranks, and
// on every rank of a replica alike.
func TestShardsCoverEveryRowOnce(t *testing.T) {
	for _, c := range []struct {
		strategy        fsdp.ShardingStrategy
		ranks, size     int
		wantRows, wantN int // rows and owners of the 3-row weight on rank 0
	}{{fsdp.FullShard, 4, 0, 1, 1}, {fsdp.FullShard, 2, 0, 2, 1}, {fsdp.ShardGradOp, 3, 0, 1, 1}, {fsdp.NoShard, 4, 0, 3, 4}, {fsdp.HybridShard, 4, 2, 2, 2}} {
		w := newWorld(t, c.ranks)
		owners := map[string][]int{}
		err := w.Run(func(r *distributed.Rank) error {
			f, err := spread(small(), r, fsdp.Config{BlockName: class, Strategy: c.strategy, ShardSize: c.size})
			if err != nil {
				return err
			}
			for turn := range r.Size { // one rank at a time writes
				r.Group.Barrier()
				if turn != r.Rank {
					continue
				}
				for _, s := range f.ShardedState() {
					if owners[s.Name] == nil {
						owners[s.Name] = make([]int, s.Shape[0])
					}
					for row := s.RowStart; row < s.RowEnd; row++ {
						owners[s.Name][row]++
					}
					if s.Rows.Dim(0) != s.RowEnd-s.RowStart {
						return fmt.Errorf("%s: %v holds rows %d to %d", s.Name, s.Rows.Shape(), s.RowStart, s.RowEnd)
					}
					if r.Rank == 0 && s.Name == "blocks.0.up.weight" && s.Rows.Dim(0) != c.wantRows {
						return fmt.Errorf("%s: rank 0 has %d rows, want %d", s.Name, s.Rows.Dim(0), c.wantRows)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s on %d: %v", c.strategy, c.ranks, err)
		}
		for name, rows := range owners {
			if !slices.Equal(rows, slices.Repeat([]int{c.wantN}, len(rows))) {
				t.Errorf("%s on %d: rows of %s are owned %v times, want %d", c.strategy, c.ranks, name, rows, c.wantN)
			}
		}
	}
}

// TestTiedParametersAreNeverSplit: a weight that blocks share with each other
// or with the rest belongs to the root, once; one that a block uses twice
// stays in the block.
func TestTiedParametersAreNeverSplit(t *testing.T) {
	build := map[string]func() *net{
		"untied":                small,
		"between blocks":        func() *net { m := small(); tie(m.blocks[1].up, m.blocks[0].up.Weight); return m },
		"within a block":        func() *net { m := newNet(3, width, width); tie(m.blocks[1].up, m.blocks[1].down.Weight); return m },
		"block and root, later": func() *net { m := newNet(3, width, width); m.AddParameter("again", m.blocks[2].up.Weight); return m },
	}
	per := func(h int) int { return 2*h*width + h + width }
	root := vocabulary*width + width + 1
	for name, want := range map[string][]int{
		"untied":                {per(3), per(3), per(3), root},
		"between blocks":        {per(3) - 24, per(3) - 24, per(3), root + 24},
		"within a block":        {per(8), per(8) - 64, per(8), root},
		"block and root, later": {per(8), per(8), per(8) - 64, root + 64},
	} {
		w := newWorld(t, 2)
		err := w.Run(func(r *distributed.Rank) error {
			m := build[name]()
			f, err := spread(m, r, fsdp.Config{BlockName: class})
			if err != nil {
				return err
			}
			var got []int
			total := 0
			for i, g := range f.Groups() {
				got, total = append(got, g.Parameters), total+g.Parameters
				wantName, wantReshard := fmt.Sprintf("%s %d", class, i), true
				if i == 3 {
					wantName, wantReshard = "root", false
				}
				if g.Name != wantName || g.ReshardAfter != wantReshard {
					return fmt.Errorf("group %d is %+v", i, g)
				}
			}
			if !slices.Equal(got, want) || total != nn.NumParameters(m) {
				return fmt.Errorf("groups of %v elements, want %v", got, want)
			}
			m.step(r, 1) // and it computes
			if g := f.GradNorm(); !(g > 0) {
				return fmt.Errorf("gradient norm %g", g)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tie makes l use the given weight instead of its own.
func tie(l *nn.Linear, weight *nn.Parameter) {
	bias := l.Bias
	*l = nn.Linear{Unit: nn.NewUnit("Linear"), Weight: weight, Bias: bias}
	l.AddParameter("weight", weight)
	l.AddParameter("bias", bias)
}

// TestTiedGradientsAddUp: the weight that two blocks share gets the gradients
// of both, as on one rank.
func TestTiedGradientsAddUp(t *testing.T) {
	var grads [2]map[string][]float32
	for i, ranks := range []int{1, 4} {
		w := newWorld(t, ranks)
		err := w.Run(func(r *distributed.Rank) error {
			m := small()
			tie(m.blocks[2].down, m.blocks[0].down.Weight)
			block := class
			if ranks == 1 {
				block = ""
			}
			f, err := spread(m, r, fsdp.Config{BlockName: block})
			if err != nil {
				return err
			}
			m.step(r, 3)
			if g := gradients(f); r.Rank == 0 {
				grads[i] = g
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := near("gradient", grads[1], grads[0], 1e-5); err != nil {
		t.Error(err)
	}
}

// TestFrozenParametersGetNoGradient and take part in nothing but the gathering.
func TestFrozenParametersGetNoGradient(t *testing.T) {
	_, want, _ := single(t, 1)
	w := newWorld(t, 2)
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		f, err := spread(m, r, fsdp.Config{BlockName: class})
		if err != nil {
			return err
		}
		m.blocks[1].up.Weight.SetTrainable(false)
		nn.SetTrainable(m.blocks[2], false)
		m.step(r, 1)
		got := map[string][]float32{}
		for _, np := range nn.NamedParameters(m) {
			if np.Parameter.Trainable() {
				full := f.FullTensor(np.Parameter, np.Parameter.MasterGrad())
				got[np.Name] = full.Float32s()
				full.Release()
			} else if np.Parameter.MasterGrad() != nil {
				return fmt.Errorf("frozen %s has a gradient", np.Name)
			}
		}
		if len(got) != len(want)-5 {
			return fmt.Errorf("%d gradients of %d parameters, 5 frozen", len(got), len(want))
		}
		trained := map[string][]float32{}
		for name := range got {
			trained[name] = want[name]
		}
		return near("gradient", got, trained, 1e-5)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLoadRows writes a whole tensor's bytes over the shards.
func TestLoadRows(t *testing.T) {
	w := newWorld(t, 4)
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		f, err := spread(m, r, fsdp.Config{BlockName: class})
		if err != nil {
			return err
		}
		p := m.embed.Weight
		full := make([]byte, 4*p.Len())
		want := make([]float32, p.Len())
		for i := range want {
			want[i] = float32(i)
			bits := math.Float32bits(want[i])
			copy(full[4*i:], []byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
		}
		if err := fsdp.LoadRows(p, p.Master(), full); err != nil {
			return err
		}
		if got := masters(f)["embed.weight"]; !slices.Equal(got, want) {
			return fmt.Errorf("loaded %v", got)
		}
		err = fsdp.LoadRows(p, p.Master(), full[4:])
		if err == nil || !strings.Contains(err.Error(), "fsdp: state of shape [11 8] takes 352 bytes as float32, got 348") {
			return fmt.Errorf("a short tensor: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestErrors of wrapping, each of which leaves the ranks usable.
func TestErrors(t *testing.T) {
	w := newWorld(t, 2)
	for _, c := range []struct {
		cfg  fsdp.Config
		want string
	}{
		{fsdp.Config{BlockName: "GPTNeoXLayer"}, `fsdp: model.block_name: nn: no block of class "GPTNeoXLayer" in this model, which has TestModel, Embedding, TestBlock, Linear`},
		{fsdp.Config{Strategy: fsdp.HybridShard, ShardSize: 3}, "HYBRID_SHARD over 2 ranks: the shard size must divide them, got 3"},
		{fsdp.Config{Strategy: fsdp.HybridShard}, "the shard size must divide them, got 0"},
		{fsdp.Config{MixedPrecision: fsdp.MixedPrecision{ParamDType: dtype.Int32}}, "fsdp: ParamDType: want float32, bfloat16 or float16, got int32"},
		{fsdp.Config{MixedPrecision: fsdp.MixedPrecision{ReduceDType: dtype.Float64}}, "fsdp: ReduceDType: want"},
		{fsdp.Config{MixedPrecision: fsdp.MixedPrecision{BufferDType: dtype.Int64}}, "fsdp: BufferDType: want"},
	} {
		err := w.Run(func(r *distributed.Rank) error { _, err := fsdp.FullyShard(small(), r, c.cfg); return err })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.cfg, err, c.want)
		}
	}
	err := w.Run(func(r *distributed.Rank) error {
		m := small()
		if _, err := fsdp.FullyShard(m, r, fsdp.Config{}); err != nil {
			return err
		}
		_, err := fsdp.FullyShard(m, r, fsdp.Config{})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "fsdp: embed.weight is sharded already") {
		t.Errorf("sharded twice: %v", err)
	}
	if _, err := fsdp.ParseStrategy("full_shard"); err == nil || !strings.Contains(err.Error(), "want one of [FULL_SHARD SHARD_GRAD_OP NO_SHARD HYBRID_SHARD]") {
		t.Errorf("ParseStrategy: %v", err)
	}
	for _, s := range []fsdp.ShardingStrategy{fsdp.FullShard, fsdp.ShardGradOp, fsdp.NoShard, fsdp.HybridShard} {
		if back, err := fsdp.ParseStrategy(s.String()); err != nil || back != s {
			t.Errorf("%s reads back as %s, %v", s, back, err)
		}
	}
}

// TestClippingIsPyTorchs: norm and factor of clip_grad_norm_, by the goldens
// of the optimizers, with the gradients spread over three ranks.
func TestClippingIsPyTorchs(t *testing.T) {
	text, err := os.ReadFile("../optim/testdata/goldens.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		MaxNorm float64 `json:"max_norm"`
		Grads   []map[string][]float32
		Cases   []struct {
			Float64 []struct{ Norm, Clip float64 }
		}
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	clipped := 0
	w := newWorld(t, 3)
	err = w.Run(func(r *distributed.Rank) error {
		m := nn.NewLinear(3, 5, false)
		m.AddParameter("bias", nn.NewParameter(7))
		f, err := spread(m, r, fsdp.Config{})
		if err != nil {
			return err
		}
		for i, want := range golden.Cases[0].Float64 {
			for _, np := range nn.NamedParameters(m) {
				p := np.Parameter
				own := golden.Grads[i][np.Name][p.RowStart*p.RowLen() : p.RowEnd*p.RowLen()]
				p.Master().SetGrad(tensor.FromFloat32(r.Dev, own, p.Master().Shape()...))
			}
			norm := f.GradNorm()
			clip := fsdp.ClipCoefficient(norm, golden.MaxNorm)
			if !(math.Abs(norm-want.Norm) <= 1e-6*want.Norm && math.Abs(clip-want.Clip) <= 1e-6*want.Clip) {
				return fmt.Errorf("step %d: norm %g and factor %g, want %g and %g", i, norm, clip, want.Norm, want.Clip)
			}
			if r.Rank == 0 && clip < 1 {
				clipped++
			}
		}
		return nil
	})
	if err != nil || clipped == 0 || clipped == len(golden.Cases[0].Float64) {
		t.Errorf("%v, clipped %d of %d steps", err, clipped, len(golden.Cases[0].Float64))
	}
}
