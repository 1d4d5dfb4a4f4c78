package models_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/safetensors"
	"dpolab/runtime/tensor"
)

// TestSavedDirectory checks what transformers will look at: the keys of the
// configuration, the type, the names, the metadata.
func TestSavedDirectory(t *testing.T) {
	d := read(t, "llama-tied")
	d.config["our_own_key"] = map[string]any{"kept": []any{1.5, "x"}}
	dir := d.write(t)
	if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(`{"eos_token_id": 2}`), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := models.Load(dir, cpuDevice(t), dtype.Float32)
	if err != nil {
		t.Fatal(err)
	}
	for dt, name := range map[dtype.DType]string{dtype.BFloat16: "bfloat16", dtype.Invalid: "float32"} {
		out := filepath.Join(t.TempDir(), "out")
		if err := models.Save(m, out, dt); err != nil {
			t.Fatal(err)
		}
		var saved map[string]any
		text, err := os.ReadFile(filepath.Join(out, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &saved); err != nil {
			t.Fatal(err)
		}
		if saved["dtype"] != name {
			t.Errorf("dtype is %v, want %s", saved["dtype"], name)
		}
		if len(saved) != len(d.config) {
			t.Errorf("%d keys saved of %d", len(saved), len(d.config))
		}
		own, _ := json.Marshal(saved["our_own_key"])
		if string(own) != `{"kept":[1.5,"x"]}` {
			t.Errorf("an unknown key became %s", own)
		}
		if text, _ := os.ReadFile(filepath.Join(out, "generation_config.json")); string(text) != `{"eos_token_id": 2}` {
			t.Errorf("generation_config.json became %q", text)
		}
		f, err := safetensors.OpenDir(out)
		if err != nil {
			t.Fatal(err)
		}
		if f.Metadata()["format"] != "pt" {
			t.Errorf("metadata %v", f.Metadata())
		}
		if len(f.Names()) != len(d.tensors) {
			t.Errorf("%d tensors saved, want %d", len(f.Names()), len(d.tensors))
		}
		for _, n := range f.Names() {
			info, _ := f.Info(n)
			if d.tensors[n] == nil || info.DType.String() != name {
				t.Errorf("tensor %s of type %s", n, info.DType)
			}
		}
		f.Close()
	}
}

func TestSaveWritesTheOldKeyForOldConfigurations(t *testing.T) {
	m := loadGolden(t, "llama3-old-config", cpuDevice(t), dtype.Float32)
	out := filepath.Join(t.TempDir(), "out")
	if err := models.Save(m, out, dtype.BFloat16); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); !strings.Contains(s, `"torch_dtype": "bfloat16"`) || strings.Contains(s, `"dtype"`) {
		t.Errorf("saved configuration %s", s)
	}
}

func TestAtomicallyPutsTheOldDirectoryBack(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "model")
	write := func(text string) func(tmp string) error {
		return func(tmp string) error { return os.WriteFile(filepath.Join(tmp, "f"), []byte(text), 0o644) }
	}
	if err := models.Atomically(dir, write("old")); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("disk on fire")
	err := models.Atomically(dir, func(tmp string) error { write("half")(tmp); return failure })
	if !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	expect := func(want string) {
		t.Helper()
		if text, _ := os.ReadFile(filepath.Join(dir, "f")); string(text) != want {
			t.Errorf("directory holds %q, want %q", text, want)
		}
		if left, _ := os.ReadDir(parent); len(left) != 1 {
			t.Errorf("%v is left beside it", left)
		}
	}
	expect("old")
	if err := models.Atomically(dir+"/", write("new")); err != nil {
		t.Fatal(err)
	}
	expect("new")
}

// TestSharded loads, computes and saves over ranks, and compares with one
// whole model.
func TestSharded(t *testing.T) {
	in, rows, labels := sharedPair()
	for _, name := range architectures {
		whole := loadGolden(t, name, cpuDevice(t), dtype.Float32)
		want := differentiate(whole, in, rows, labels)
		for _, ranks := range []int{2, 3} {
			out := filepath.Join(t.TempDir(), "out")
			devices := make([]device.Device, ranks)
			for i := range devices {
				devices[i] = device.Device{Type: device.CPU, Index: i}
			}
			world, err := distributed.NewWorld(devices, 1)
			if err != nil {
				t.Fatal(err)
			}
			err = models.Atomically(out, func(tmp string) error {
				return world.Run(func(r *distributed.Rank) error {
					c, err := models.Open("testdata/" + name)
					if err != nil {
						return err
					}
					defer c.Close()
					m, err := c.Build()
					if err != nil {
						return err
					}
					sharded, err := fsdp.FullyShard(m, r, fsdp.Config{BlockName: m.Config().BlockName})
					if err != nil {
						return err
					}
					if err := c.LoadInto(m, r.Dev); err != nil {
						return err
					}
					compareShards(t, name, m, in, rows, labels, want)
					gather := func(p *nn.Parameter) *tensor.Tensor { return sharded.FullTensor(p, p.Master()) }
					return models.SaveInto(m, tmp, dtype.Float32, gather, r.Rank == 0)
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			world.Close()
			again, err := models.Load(out, cpuDevice(t), dtype.Float32)
			if err != nil {
				t.Fatal(err)
			}
			for i, np := range nn.NamedParameters(again) {
				if worst(np.Parameter.Value.Float32s(), nn.NamedParameters(whole)[i].Parameter.Value.Float32s()) != 0 {
					t.Errorf("%s over %d ranks: %s changed on the way", name, ranks, np.Name)
				}
			}
		}
	}
}

// compareShards runs the same batch on this rank, so that the mean of the
// ranks' gradients is the whole model's gradient, and compares the rank's rows.
func compareShards(t *testing.T, name string, m models.CausalLM, in models.Input, rows, labels []int32, want outcome) {
	got := differentiate(m, in, rows, labels)
	if d := distance(got.logps, want.logps); !(d <= 1e-5) {
		t.Errorf("%s sharded: log-probs differ by %g", name, d)
	}
	for _, np := range nn.NamedParameters(m) {
		p := np.Parameter
		if p.RowStart == p.RowEnd {
			continue
		}
		full := want.grads[np.Name]
		scale := distance(full, make([]float64, len(full))) // infinite unless all are 0
		if scale == 0 {
			continue
		}
		part := append([]float64(nil), full...)
		copy(part[p.RowStart*p.RowLen():], p.MasterGrad().Float64s())
		if d := distance(part, full); !(d <= 1e-5) {
			t.Errorf("%s sharded: gradient of %s differs by %g", name, np.Name, d)
		}
	}
}
