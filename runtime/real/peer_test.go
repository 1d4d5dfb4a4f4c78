package real

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/models"
	"dpolab/runtime/safetensors"
	"dpolab/runtime/tensor"
)

// TestPeer saves checkpoints of every family, and of a real model after a
// training step under FSDP, and lets transformers load them: it must find every
// weight, know every one it finds, and compute the same logits.
func TestPeer(t *testing.T) {
	python := os.Getenv("DPOLAB_PEER_PYTHON")
	if python == "" {
		t.Skip("DPOLAB_PEER_PYTHON is not set; make test-peer sets it")
	}
	dev, err := tensor.Open(device.Device{Type: device.CPU}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()

	var saved []string
	tiny, err := filepath.Glob("../models/testdata/*/config.json")
	if err != nil || len(tiny) < 9 {
		t.Fatalf("%d tiny checkpoints (%v), want at least 9", len(tiny), err)
	}
	for _, path := range tiny {
		m, err := models.Load(filepath.Dir(path), dev, dtype.Float32)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), filepath.Base(filepath.Dir(path)))
		if err := models.Save(m, dir, dtype.Invalid); err != nil {
			t.Fatal(err)
		}
		writeLogits(t, dev, dir, []int32{3, 14, 15, 9, 26, 53, 5, 8, 9})
		saved = append(saved, dir)
	}
	saved = append(saved, trained(t, dev)...)

	out, err := exec.Command(python, append([]string{"../../.ci/python/peer_load.py"}, saved...)...).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "largest difference"); n != len(saved) {
		t.Errorf("%d checkpoints compared, want %d", n, len(saved))
	}
}

// trained is the real model after one DPO step on two ranks, if the model is at
// hand.
func trained(t *testing.T, dev *tensor.Device) []string {
	if os.Getenv("DPOLAB_REAL_MODEL") == "" {
		t.Log("without the real model: DPOLAB_REAL_MODEL is not set")
		return nil
	}
	model, hh := setting(t)
	dir := t.TempDir()
	run := start(t, "model=blank_model", "model.name_or_path="+model, "model.block_name=LlamaDecoderLayer", "datasets=[hh]", "hh.path="+hh,
		"trainer=FSDPTrainer", "devices=cpu:2", "model.fsdp_policy_mp=bfloat16", "batch_size=4", "eval_batch_size=4", "n_examples=4", "n_eval_examples=4",
		"max_length=128", "max_prompt_length=64", "do_first_eval=false", "sample_during_eval=false", "warmup_steps=0", "loss=dpo", "loss.beta=0.1",
		"exp_name=peer", "local_run_dir="+filepath.Join(dir, "run"), "reference_cache_dir="+filepath.Join(dir, "reference"))
	defer run.Close()
	if err := run.Trainer.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "smollm2-135m-trained")
	if err := run.Trainer.SaveTo(out); err != nil {
		t.Fatal(err)
	}
	writeLogits(t, dev, out, []int32{1, 504, 2102, 253, 655, 28, 665, 436, 253, 30})
	return []string{out}
}

// writeLogits loads a checkpoint and leaves its tokens and logits beside it.
func writeLogits(t *testing.T, dev *tensor.Device, dir string, tokens []int32) {
	t.Helper()
	m, err := models.Load(dir, dev, dtype.Float32)
	if err != nil {
		t.Fatal(err)
	}
	dev.NoGrad(func() {
		dev.Scope(func() *tensor.Tensor {
			logits := m.Logits(models.Pack([][]int32{tokens}), nil)
			values := logits.Float32s()
			w, err := safetensors.Create(filepath.Join(dir, "peer.safetensors"), map[string]string{"format": "pt"}, []safetensors.Info{
				{Name: "logits", DType: dtype.Float32, Shape: logits.Shape()},
				{Name: "tokens", DType: dtype.Int32, Shape: []int{len(tokens)}},
			})
			if err == nil {
				err = w.Write("logits", unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), 4*len(values)))
			}
			if err == nil {
				err = w.Write("tokens", unsafe.Slice((*byte)(unsafe.Pointer(&tokens[0])), 4*len(tokens)))
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			return nil
		})
	})
}
