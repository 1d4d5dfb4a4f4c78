package distributed_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"dpolab/kernels"
	_ "dpolab/kernels/cpu"
	_ "dpolab/kernels/cuda"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/nccl/nccltest"
	"dpolab/kernels/queuetest"
	_ "dpolab/kernels/ref"
	"dpolab/runtime/distributed"
	"dpolab/runtime/tensor"
)

// onGPU runs these tests on this machine's GPUs: make test-cuda sets it.
var onGPU = os.Getenv("DPOLAB_TEST_CUDA") != ""

// TestMain has GPUs whose second queue is slow, so that what does not wait for
// it is wrong.
func TestMain(m *testing.M) {
	remove := func() {}
	if !onGPU {
		queuetest.Register(queuetest.Options{Delay: 20 * time.Microsecond})
		remove = nccltest.Use()
	}
	code := m.Run()
	remove()
	os.Exit(code)
}

// available are the lists of devices that this machine has, at least one.
func available(t *testing.T, lists ...string) (out []string) {
	t.Helper()
	if !onGPU {
		return lists
	}
	all, err := kernels.ParseDevices("cuda:all")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lists {
		list, err := device.ParseList(l)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(list, func(d device.Device) bool { return d.Type != device.CUDA || d.Index >= len(all) }) {
			out = append(out, l)
		}
	}
	if len(out) == 0 {
		t.Skipf("%d GPUs here", len(all))
	}
	return out
}

func newWorld(t *testing.T, devices string) *distributed.World {
	t.Helper()
	list, err := device.ParseList(devices)
	if err != nil {
		t.Fatal(err)
	}
	w, err := distributed.NewWorld(list, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// rounded returns host values as the type stores them.
func rounded(values []float32, dt dtype.DType) []float32 {
	out := make([]float32, len(values))
	for i, v := range values {
		switch dt {
		case dtype.BFloat16:
			v = dtype.Float32FromBFloat16(dtype.BFloat16FromFloat32(v))
		case dtype.Float16:
			v = dtype.Float32FromFloat16(dtype.Float16FromFloat32(v))
		case dtype.Int32:
			v = float32(int32(v))
		}
		out[i] = v
	}
	return out
}

// place returns a tensor of values in the given type on dev.
func place(dev *tensor.Device, values []float32, dt dtype.DType) *tensor.Tensor {
	if dt == dtype.Int32 {
		ints := make([]int32, len(values))
		for i, v := range values {
			ints[i] = int32(v)
		}
		return tensor.FromInt32(dev, ints)
	}
	wide := tensor.FromFloat32(dev, values)
	x := tensor.Empty(dev, dt, len(values))
	dev.Backend().Copy(x.Array(), wide.Array())
	wide.Release()
	return x
}

func host(x *tensor.Tensor) []float32 {
	if x.DType() != dtype.Int32 {
		return x.Float32s()
	}
	var out []float32
	for _, v := range x.Int32s() {
		out = append(out, float32(v))
	}
	return out
}

// inputs are one array of values per rank, of magnitudes whose sum depends on
// the order.
func inputs(world, n int, dt dtype.DType, rng *rand.Rand) [][]float32 {
	out := make([][]float32, world)
	for r := range out {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(4))))
		}
		out[r] = rounded(v, dt)
	}
	return out
}

// sum is what the contract says: float32, in the order of the ranks, rounded
// once.
func sum(in [][]float32, dt dtype.DType) []float32 {
	acc := slices.Clone(in[0])
	for _, v := range in[1:] {
		for i := range acc {
			acc[i] += v[i]
		}
	}
	return rounded(acc, dt)
}

func same(r *distributed.Rank, what string, got, want []float32) error {
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s on rank %d: got %v, want %v", what, r.Rank, got, want)
	}
	return nil
}

// divisions are ways to cut arrays over a world: evenly, all to the last rank,
// with nothing for some, and an array of nothing.
func divisions(world int) map[string][]int {
	even, last, holes, none := []int{0}, []int{0}, []int{0}, []int{0}
	for r := 1; r <= world; r++ {
		even = append(even, 7*r)
		last = append(last, 0)
		holes = append(holes, holes[r-1]+3*(r%2))
		none = append(none, 0)
	}
	last[world] = 5
	return map[string][]int{"even": even, "all to the last": last, "with holes": holes, "none": none}
}

// TestCollectivesAgainstNaiveSums runs every collective on one to four ranks,
// over uneven pieces and all types, several arrays at a time, and wants the
// very bits of a sum made by hand.
func TestCollectivesAgainstNaiveSums(t *testing.T) {
	for _, devices := range available(t, "cpu:1", "cpu:2", "cpu:3", "cpu:4", "ref:3", "cuda:0", "cuda:0,0", "cuda:0,0,0", "cuda:0,1", "cuda:2,0,1") {
		if onGPU && devices == "cuda:2,0,1" {
			continue // NVIDIA's library adds more than two in an order of its own
		}
		w := newWorld(t, devices)
		n := w.Size()
		for _, dt := range []dtype.DType{dtype.Float32, dtype.BFloat16, dtype.Float16, dtype.Int32} {
			for name, offsets := range divisions(n) {
				t.Run(fmt.Sprintf("%s/%s/%s", devices, dt, name), func(t *testing.T) {
					rng := rand.New(rand.NewPCG(1, uint64(n)))
					whole := offsets[n]
					a, b := inputs(n, whole, dt, rng), inputs(n, whole, dt, rng)
					err := w.Run(func(r *distributed.Rank) (err error) {
						r.Dev.Scope(func() *tensor.Tensor {
							err = collect(r, dt, offsets, a, b)
							return nil
						})
						return err
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// collect calls each collective on both inputs at once.
func collect(r *distributed.Rank, dt dtype.DType, offsets []int, inputs ...[][]float32) error {
	lo, hi := offsets[r.Rank], offsets[r.Rank+1]
	var wholes, parts []*tensor.Tensor
	var gather, scatter []distributed.Piece
	var arrays []kernels.Array
	for _, in := range inputs {
		whole, part := place(r.Dev, in[r.Rank], dt), place(r.Dev, in[r.Rank][lo:hi], dt)
		wholes, parts = append(wholes, whole), append(parts, part)
		gathered := tensor.Full(r.Dev, dt, -1, whole.Len())
		gather = append(gather, distributed.Piece{Whole: gathered.Array(), Part: part.Array(), Offsets: offsets})
		scatter = append(scatter, distributed.Piece{Whole: whole.Array(), Part: part.Array(), Offsets: offsets})
		arrays = append(arrays, whole.Array())
		defer gathered.Release()
	}
	r.Group.AllGather(gather)
	for i, in := range inputs {
		var want []float32
		for k := range in {
			want = append(want, in[k][offsets[k]:offsets[k+1]]...)
		}
		got := tensor.Empty(r.Dev, dt, len(want))
		r.Dev.Backend().Copy(got.Array(), gather[i].Whole)
		if err := same(r, fmt.Sprintf("all-gather %d", i), host(got), want); err != nil {
			return err
		}
	}
	if dt.IsFloat() {
		r.Group.ReduceScatter(scatter)
		for i, in := range inputs {
			if err := same(r, fmt.Sprintf("reduce-scatter %d", i), host(parts[i]), sum(in, dt)[lo:hi]); err != nil {
				return err
			}
			if err := same(r, "what reduce-scatter read", host(wholes[i]), in[r.Rank]); err != nil {
				return err
			}
		}
		r.Group.AllReduce(arrays)
		for i, in := range inputs {
			if err := same(r, fmt.Sprintf("all-reduce %d", i), host(wholes[i]), sum(in, dt)); err != nil {
				return err
			}
		}
	}
	for root := range r.Size {
		var copies []*tensor.Tensor
		var arrays []kernels.Array
		for _, in := range inputs {
			x := place(r.Dev, in[r.Rank], dt)
			copies, arrays = append(copies, x), append(arrays, x.Array())
		}
		r.Group.Broadcast(arrays, root)
		for i, in := range inputs {
			if err := same(r, fmt.Sprintf("broadcast %d from %d", i, root), host(copies[i]), in[root]); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestReduceScatterConverts: the sum is rounded to the part's type, not to the
// type of what is summed.
func TestReduceScatterConverts(t *testing.T) {
	w := newWorld(t, "cpu:2")
	err := w.Run(func(r *distributed.Rank) error {
		whole := place(r.Dev, []float32{1 + 0x1p-7*float32(r.Rank), 256 - 255*float32(r.Rank)}, dtype.BFloat16)
		part := tensor.Empty(r.Dev, dtype.Float32, 1)
		r.Group.ReduceScatter([]distributed.Piece{{Whole: whole.Array(), Part: part.Array(), Offsets: []int{0, 1, 2}}})
		want := []float32{2 + 0x1p-7, 257}[r.Rank] // neither is a bfloat16
		return same(r, "float32 part of a bfloat16 sum", host(part), []float32{want})
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSumHost is in float64, in the order of the ranks.
func TestSumHost(t *testing.T) {
	for _, devices := range available(t, "cpu:1", "cpu:2", "cpu:4", "cuda:0,0,0", "cuda:3,3,3", "cuda:0,1") {
		w := newWorld(t, devices)
		want := []float64{0, 0}
		for r := range w.Size() {
			want[0], want[1] = want[0]+0.1*float64(r+1), want[1]+math.Pow(1e10, float64(r))
		}
		err := w.Run(func(r *distributed.Rank) error {
			for range 50 { // again and again, so that one round meets the next
				v := []float64{0.1 * float64(r.Rank+1), math.Pow(1e10, float64(r.Rank))}
				r.Group.SumHost(v)
				if !slices.Equal(v, want) {
					return fmt.Errorf("got %v, want %v", v, want)
				}
				r.Group.SumHost(nil)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestRoundsDoNotMix runs short collectives of different kinds one straight
// after the other, so that fast ranks are in the next while slow ones leave
// the last.
func TestRoundsDoNotMix(t *testing.T) {
	for _, devices := range available(t, "cpu:4", "cuda:0,0,0,0", "cuda:0,1,2,3") {
		t.Run(devices, func(t *testing.T) { roundsDoNotMix(t, newWorld(t, devices)) })
	}
}

func roundsDoNotMix(t *testing.T, w *distributed.World) {
	err := w.Run(func(r *distributed.Rank) error {
		x := place(r.Dev, []float32{1}, dtype.Float32)
		want := float32(1)
		for i := range 300 {
			r.Group.Barrier()
			r.Group.AllReduce([]kernels.Array{x.Array()})
			r.Group.Barrier()
			if want *= 4; i%8 == 7 {
				want = 1
				r.Dev.Backend().Fill(x.Array(), 1)
			} else if got := x.Item(); float32(got) != want {
				return fmt.Errorf("round %d: %g, want %g", i, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSubgroups sums over the rows, then over the columns of a 2×2 mesh, as
// HYBRID_SHARD does, and over a group whose order is not the ranks'.
func TestSubgroups(t *testing.T) {
	for _, devices := range available(t, "cpu:4", "cuda:0,0,0,0", "cuda:0,1,2,3") {
		t.Run(devices, func(t *testing.T) { subgroups(t, newWorld(t, devices)) })
	}
}

func subgroups(t *testing.T, w *distributed.World) {
	err := w.Run(func(r *distributed.Rank) error {
		first := r.Rank - r.Rank%2
		row, column := r.Subgroup([]int{first, first + 1}), r.Subgroup([]int{r.Rank % 2, r.Rank%2 + 2})
		if row.Size() != 2 || row.Rank() != r.Rank%2 || column.Rank() != r.Rank/2 {
			return fmt.Errorf("rank %d is %d of %d in its row, %d in its column", r.Rank, row.Rank(), row.Size(), column.Rank())
		}
		value := float32(int(1) << (4 * r.Rank)) // one hexadecimal digit per rank
		x := place(r.Dev, []float32{value}, dtype.Float32)
		row.AllReduce([]kernels.Array{x.Array()})
		if want := []float32{0x11, 0x11, 0x1100, 0x1100}[r.Rank]; x.Item() != float64(want) {
			return fmt.Errorf("row of rank %d: %x, want %x", r.Rank, int(x.Item()), int(want))
		}
		column.AllReduce([]kernels.Array{x.Array()})
		if x.Item() != 0x1111 {
			return fmt.Errorf("mesh of rank %d: %x", r.Rank, int(x.Item()))
		}
		if r.Rank == 1 || r.Rank == 3 { // the others do something else meanwhile
			back := r.Subgroup([]int{3, 1})
			y := place(r.Dev, []float32{float32(r.Rank)}, dtype.Float32)
			back.Broadcast([]kernels.Array{y.Array()}, 0)
			if y.Item() != 3 {
				return fmt.Errorf("place 0 of the group [3 1] is rank %g", y.Item())
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
