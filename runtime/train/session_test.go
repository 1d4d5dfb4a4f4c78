package train_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dpolab/kernels/device"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/session"
	"dpolab/runtime/tensor"
	"dpolab/runtime/train"
)

// attached is what one process has of a session.
type attached struct {
	session *train.Session
	world   *distributed.World
	policy  *train.Replicas
	trainer *train.Trainer
}

// attach opens the session in dir as a new process would, filling it from the
// model directory if it is empty.
func attach(t *testing.T, dir string, v variant, s train.Settings) (*attached, error) {
	t.Helper()
	a := &attached{}
	var err error
	if a.session, err = train.OpenSession(dir); err != nil {
		return nil, err
	}
	devices, err := device.ParseList(v.devices())
	if err != nil {
		t.Fatal(err)
	}
	if a.world, err = distributed.NewWorld(devices, 1); err != nil {
		t.Fatal(err)
	}
	if a.session.Empty() {
		if a.policy, err = train.Place(a.world, modelDir, s.Sharding); err != nil {
			t.Fatal(err)
		}
		if err := a.session.Fill(a.policy, modelDir, nil); err != nil {
			t.Fatal(err)
		}
	} else if a.policy, err = a.session.Place(a.world, s.Sharding); err != nil {
		t.Fatal(err)
	}
	it := source(t, 8, 2)
	cache, err := train.OpenReferenceCache("", train.ReferenceName{})
	if err != nil {
		t.Fatal(err)
	}
	a.trainer, err = train.New(a.world, s, train.Inputs{Policy: a.policy, ReferenceDir: modelDir, Source: it, Total: it.Total(), Cache: cache, Session: a.session}, train.Events{})
	if err != nil {
		a.detach(t)
		return nil, err
	}
	return a, nil
}

func (a *attached) detach(t *testing.T) {
	t.Helper()
	if a.trainer != nil {
		if err := a.trainer.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, err := range []error{a.policy.Release(), a.session.Close(), a.world.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}

// toggle is the precision of a step in these tests.
func toggle(step int) fsdp.MixedPrecision {
	if step == 2 || step == 3 {
		return fsdp.BFloat16Mixed()
	}
	return fsdp.FullPrecision()
}

// advance takes one step in its precision.
func advance(t *testing.T, tr *train.Trainer) {
	t.Helper()
	if mp := toggle(tr.Updates()); mp != tr.MixedPrecision() {
		if err := tr.SetMixedPrecision(mp); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := tr.Advance(context.Background()); err != nil || m == nil {
		t.Fatalf("step %d: %v, %v", tr.Updates(), m, err)
	}
}

// straight is the run without a session.
func straight(t *testing.T, v variant, s train.Settings) (losses []float64, params map[string][]float32) {
	t.Helper()
	v.cache = true
	tr := newTrainer(t, v, s, source(t, 8, 2), modelDir)
	for range 6 {
		advance(t, tr)
	}
	return recorded(tr.History()), parameters(t, tr)
}

func recorded(h *train.History) []float64 {
	var out []float64
	for _, r := range h.Records {
		out = append(out, r.Metrics["loss/train"], r.Metrics["grad_norm"], float64(r.Updates), float64(r.Examples))
	}
	return out
}

// TestSessionGoesOnBitForBit attaches anew for every step and switches to
// bfloat16 and back on the way: every number is that of one uninterrupted
// process.
func TestSessionGoesOnBitForBit(t *testing.T) {
	const block = "LlamaDecoderLayer"
	for name, v := range map[string]variant{
		"1 rank":                 {block: block, optimizer: "RMSprop"},
		"2 ranks, AdamW":         {ranks: 2, block: block, optimizer: "AdamW"},
		"3 uneven ranks":         {ranks: 3, block: block, optimizer: "RMSprop"},
		"2 ranks, NO_SHARD":      {ranks: 2, block: block, strategy: fsdp.NoShard, optimizer: "AdamW"},
		"4 ranks, HYBRID":        {ranks: 4, block: block, strategy: fsdp.HybridShard, optimizer: "AdamW"},
		"a device's own memory":  {ranks: 2, block: block, optimizer: "AdamW", device: "ref"},
		"SGD without a state":    {ranks: 2, block: block, optimizer: "SGD"},
		"accumulation of 2":      {ranks: 2, accumulation: 2, block: block},
		"activations recomputed": {ranks: 2, block: block, checkpointing: true},
	} {
		s := settings(v)
		want, wantParams := straight(t, v, s)
		dir := t.TempDir()
		for step := range 6 {
			a, err := attach(t, dir, v, s)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if a.trainer.Updates() != step || a.session.Updates() != step {
				t.Fatalf("%s: at update %d, want %d", name, a.trainer.Updates(), step)
			}
			if step > 0 && a.trainer.MixedPrecision() != toggle(step-1) {
				t.Errorf("%s: attached in %s, it was left in %s", name, a.trainer.MixedPrecision(), toggle(step-1))
			}
			advance(t, a.trainer)
			if step == 5 {
				compare(t, name, want, recorded(a.trainer.History()), wantParams, parameters(t, a.trainer), 0)
			}
			a.detach(t)
		}
	}
}

// TestSessionChangesRanks: what one rank wrote, three read.
func TestSessionChangesRanks(t *testing.T) {
	dir := t.TempDir()
	var before map[string][]float32
	for i, ranks := range []int{1, 3, 2} {
		v := variant{ranks: ranks, block: "LlamaDecoderLayer", optimizer: "AdamW"}
		a, err := attach(t, dir, v, settings(v))
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			compare(t, fmt.Sprintf("%d ranks", ranks), nil, nil, before, parameters(t, a.trainer), 0)
		}
		advance(t, a.trainer)
		before = parameters(t, a.trainer)
		a.detach(t)
	}
}

// TestSessionChild is the process that TestSessionSurvivesKills kills.
func TestSessionChild(t *testing.T) {
	dir := os.Getenv("DPOLAB_TEST_SESSION")
	if dir == "" {
		return
	}
	v := variant{ranks: 2, block: "LlamaDecoderLayer", optimizer: "AdamW"}
	a, err := attach(t, dir, v, settings(v))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("attached")
	for a.trainer.Updates() < 6 {
		advance(t, a.trainer)
		fmt.Println("step", a.trainer.Updates())
	}
	a.detach(t)
}

// TestSessionSurvivesKills kills training processes with SIGKILL at random
// moments until one comes to the end: its numbers are those of a run that
// nobody killed.
func TestSessionSurvivesKills(t *testing.T) {
	v := variant{ranks: 2, block: "LlamaDecoderLayer", optimizer: "AdamW"}
	s := settings(v)
	want, wantParams := straight(t, v, s)
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for attempts := 0; ; attempts++ {
		if attempts == 200 {
			t.Fatal("never came to the end")
		}
		c := exec.Command(os.Args[0], "-test.run", "^TestSessionChild$")
		c.Env = append(os.Environ(), "DPOLAB_TEST_SESSION="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 64)
		out.Read(text) // "attached", or the end
		if kills < 20 {
			time.Sleep(time.Duration(random.IntN(6000)) * time.Microsecond)
			c.Process.Signal(syscall.SIGKILL)
		}
		rest := make([]byte, 4096)
		for n := 1; n > 0; {
			n, _ = out.Read(rest)
		}
		if err := c.Wait(); err == nil {
			break
		}
		kills++
	}
	a, err := attach(t, dir, v, s)
	if err != nil {
		t.Fatal(err)
	}
	defer a.detach(t)
	if kills < 5 {
		t.Errorf("%d kills only", kills)
	}
	compare(t, fmt.Sprintf("after %d kills", kills), want, recorded(a.trainer.History()), wantParams, parameters(t, a.trainer), 0)
}

func TestSessionRefuses(t *testing.T) {
	dir := t.TempDir()
	v := variant{block: "LlamaDecoderLayer", optimizer: "AdamW"}
	s := settings(v)
	a, err := attach(t, dir, v, s)
	if err != nil {
		t.Fatal(err)
	}
	advance(t, a.trainer)
	if _, err := train.OpenSession(dir); !errors.Is(err, session.ErrAttached) {
		t.Errorf("a second process: %v", err)
	}
	if err := a.session.Restart(); err == nil || !strings.Contains(err.Error(), "trainer") {
		t.Errorf("restarted under a trainer: %v", err)
	}
	if err := a.session.Fill(a.policy, modelDir, nil); err == nil {
		t.Error("filled twice")
	}
	if err := a.trainer.Resume(t.TempDir()); err == nil || !strings.Contains(err.Error(), "goes on by itself") {
		t.Errorf("resumed from a checkpoint: %v", err)
	}
	if _, err := train.New(a.world, s, train.Inputs{Policy: a.policy, Source: source(t, 8, 2)}, train.Events{}); err == nil || !strings.Contains(err.Error(), "session") {
		t.Errorf("its policy trained without it: %v", err)
	}
	a.detach(t)
	other := s
	other.Optimizer = "SGD"
	if _, err := attach(t, dir, v, other); err == nil || !strings.Contains(err.Error(), "optimizer=AdamW") {
		t.Errorf("another optimizer: %v", err)
	}
	restart, err := train.OpenSession(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := restart.Restart(); err != nil {
		t.Fatal(err)
	}
	if h, err := restart.History(); err != nil || len(h.Records) != 0 || restart.Updates() != 0 || restart.Run() != 1 {
		t.Errorf("after Restart: %d records, %d updates, run %d, %v", len(h.Records), restart.Updates(), restart.Run(), err)
	}
	restart.Close()
	other = s
	other.Optimizer = "RMSprop"
	b, err := attach(t, dir, v, other)
	if err != nil {
		t.Fatal(err)
	}
	advance(t, b.trainer)
	b.detach(t)
	empty, err := train.OpenSession(filepath.Join(dir, "empty"))
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if _, err := empty.Place(nil, s.Sharding); err == nil || !strings.Contains(err.Error(), "no model") {
		t.Errorf("an empty session placed: %v", err)
	}
}

// TestSessionStaysBeforeARuinousStep: a loss that is not a number ruins the
// weights in memory, not those of the session.
func TestSessionStaysBeforeARuinousStep(t *testing.T) {
	dir := t.TempDir()
	v := variant{ranks: 2, block: "LlamaDecoderLayer"}
	s := settings(v)
	a, err := attach(t, dir, v, s)
	if err != nil {
		t.Fatal(err)
	}
	advance(t, a.trainer)
	good := parameters(t, a.trainer)
	fine := s.Loss
	if err := a.trainer.SetLoss(func(lp loss.LogProbs) loss.Output {
		o := fine(lp)
		o.Losses = o.Losses.MulScalar(math.NaN())
		return o
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.trainer.Advance(context.Background()); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Fatalf("a NaN: %v", err)
	}
	if err := a.trainer.SetLoss(fine); err != nil {
		t.Fatal(err)
	}
	if _, err := a.trainer.Advance(context.Background()); err == nil || !strings.Contains(err.Error(), "attach it again") {
		t.Errorf("after the NaN: %v", err)
	}
	a.detach(t)
	a, err = attach(t, dir, v, s)
	if err != nil {
		t.Fatal(err)
	}
	defer a.detach(t)
	if a.trainer.Updates() != 1 || len(a.trainer.History().Records) != 1 {
		t.Errorf("at update %d with %d records, want 1", a.trainer.Updates(), len(a.trainer.History().Records))
	}
	compare(t, "weights", nil, nil, good, parameters(t, a.trainer), 0)
	advance(t, a.trainer)
}

// TestSessionKeepsMetricsOfAnyValue: infinities in the history come back.
func TestSessionKeepsMetricsOfAnyValue(t *testing.T) {
	dir := t.TempDir()
	v := variant{block: "LlamaDecoderLayer"}
	s := settings(v)
	s.Metrics = []train.Metric{{Name: "odd", Values: func(lp loss.LogProbs) *tensor.Tensor { return lp.PolicyChosen.MulScalar(math.Inf(1)) }}}
	a, err := attach(t, dir, v, s)
	if err != nil {
		t.Fatal(err)
	}
	advance(t, a.trainer)
	a.detach(t)
	a, err = attach(t, dir, v, s)
	if err != nil {
		t.Fatal(err)
	}
	defer a.detach(t)
	if got := a.trainer.History().Last("odd/train"); !math.IsInf(got, -1) {
		text, _ := json.Marshal(a.trainer.History())
		t.Errorf("metric %g, want -Inf: %s", got, text)
	}
}
