package train_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"dpolab/kernels/device"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/generate"
	"dpolab/runtime/loss"
	"dpolab/runtime/tensor"
	"dpolab/runtime/train"
)

func newWorld(t *testing.T, ranks string) *distributed.World {
	t.Helper()
	devices, err := device.ParseList(ranks)
	if err != nil {
		t.Fatal(err)
	}
	w, err := distributed.NewWorld(devices, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func live(w *distributed.World) (bytes int64) {
	for i := range w.Size() {
		bytes += w.Device(i).MemoryStats().LiveBytes
	}
	return bytes
}

func place(t *testing.T, w *distributed.World) *train.Replicas {
	t.Helper()
	p, err := train.Place(w, modelDir, fsdp.Config{BlockName: "LlamaDecoderLayer"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSharedPolicyAndReference: a trainer over models placed before gives what
// one that loads them gives, and leaves them when it is closed.
func TestSharedPolicyAndReference(t *testing.T) {
	v := variant{ranks: 2, block: "LlamaDecoderLayer"}
	want, _ := trajectory(t, v)
	w := newWorld(t, "cpu:2")
	policy, reference := place(t, w), place(t, w)
	before := live(w)
	it := source(t, 8, 2)
	asked := 0
	in := train.Inputs{Policy: policy, Source: it, Total: it.Total(), Reference: func(ctx context.Context, examples []data.Example) ([]float32, error) {
		asked += len(examples)
		return reference.LogProbs(ctx, examples, data.Preference, 3, nil)
	}}
	tr, err := train.New(w, settings(v), in, train.Events{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	var got []float64
	for _, r := range tr.History().Records {
		got = append(got, r.Metrics["loss/train"], r.Metrics["grad_norm"])
	}
	compare(t, "shared", want, got, nil, nil, 1e-4)
	if asked != 48 {
		t.Errorf("the reference was asked for %d pairs, want 48", asked)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if after := live(w); after != before {
		t.Errorf("%d bytes in use after Close, %d before", after, before)
	}
	in.Reference = func(context.Context, []data.Example) ([]float32, error) { return []float32{1}, nil }
	in.Source = source(t, 8, 1)
	if tr, err = train.New(w, settings(v), in, train.Events{}); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Advance(context.Background()); err == nil || !strings.Contains(err.Error(), "want 16 log-probabilities for 8 pairs, got 1") {
		t.Errorf("a reference that answers wrongly: %v", err)
	}
	tr.Close()
	policy.Release()
	reference.Release()
	if n := live(w); n != 0 {
		t.Errorf("%d bytes in use after all is released", n)
	}
}

// TestGenerateStops on all ranks together.
func TestGenerateStops(t *testing.T) {
	p := place(t, newWorld(t, "cpu:2"))
	c := generate.DefaultConfig()
	c.MaxNewTokens, c.DoSample = 12, false
	prompts := [][]int32{{3, 4, 5}, {6}}
	out, err := p.Generate(context.Background(), prompts, c)
	if err != nil || len(out) != 2 || len(out[0]) != 12 {
		t.Fatalf("%v: %v", out, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Generate(ctx, prompts, c); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestHandWrittenPasses: forward, backward and update by hand are a step.
func TestHandWrittenPasses(t *testing.T) {
	v := variant{ranks: 2, block: "LlamaDecoderLayer"}
	want, _ := trajectory(t, v)
	tr := newTrainer(t, v, settings(v), source(t, 8, 2), modelDir)
	it := source(t, 8, 2)
	dev, err := tensor.Open(device.Device{Type: device.CPU}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	fn, ctx := loss.DPO(0.1, 0), context.Background()
	if err := tr.Backward(ctx, &train.Pass{}, tensor.FromFloat32(dev, []float32{1})); err == nil {
		t.Error("a backward pass without a forward pass")
	}
	if _, err := tr.Forward(ctx, dev, nil); err == nil {
		t.Error("a forward pass of nothing")
	}
	var got []float64
	for {
		batch, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		if batch == nil {
			break
		}
		value := 0.0
		for i := range 2 {
			if i == 1 { // one that nobody wants leaves nothing
				if _, err := tr.Forward(ctx, dev, batch[:3]); err != nil {
					t.Fatal(err)
				}
			}
			p, err := tr.Forward(ctx, dev, batch[4*i:4*i+4])
			if err != nil {
				t.Fatal(err)
			}
			l := fn(p.LogProbs).Losses.Mean().MulScalar(0.5)
			value += l.Item()
			if err := tr.Backward(ctx, p, l); err != nil {
				t.Fatal(err)
			}
		}
		m, err := tr.Update(len(batch), train.Metrics{"loss/train": value})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m["loss/train"], m["grad_norm"])
	}
	if len(got) != len(want) || math.IsNaN(got[0]) {
		t.Fatalf("%d numbers, want %d", len(got), len(want))
	}
	compare(t, "by hand", want, got, nil, nil, 1e-4)
}
