package train

import (
	"os"
	"path/filepath"
	"testing"

	_ "dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/models"
	_ "dpolab/runtime/models/all"
)

// gigabyte is a Llama of 269 million parameters, 1.08 GB in float32.
const gigabyte = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":1024,"intermediate_size":4096,
"num_hidden_layers":14,"num_attention_heads":16,"num_key_value_heads":16,"vocab_size":16384,"max_position_embeddings":2048,
"rms_norm_eps":1e-5,"rope_theta":10000,"hidden_act":"silu","tie_word_embeddings":true,"initializer_range":0.02}`

// nothing is a source without data.
type nothing struct{}

func (nothing) Next() ([]data.Example, error) { return nil, nil }
func (nothing) State() data.State             { return data.State{} }
func (nothing) Restore(data.State) error      { return nil }

func openAttached(b *testing.B, dir string, cfg fsdp.Config) func() {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	s, err := OpenSession(dir)
	must(err)
	w, err := distributed.NewWorld([]device.Device{{}, {Index: 1}}, 1)
	must(err)
	p, err := s.Place(w, cfg)
	must(err)
	settings := DefaultSettings()
	settings.Loss = loss.DPO(0.1, 0)
	tr, err := New(w, settings, Inputs{Policy: p, Source: nothing{}, Session: s}, Events{})
	must(err)
	return func() {
		must(tr.Close())
		must(p.Release())
		must(s.Close())
		must(w.Close())
	}
}

// BenchmarkSession measures, with a model of 1.08 GB and as much optimizer
// state: attaching (lock, files, model on two ranks, optimizer), and what a step
// pays for being safe (copy and checksum of both).
func BenchmarkSession(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "session")
	config := filepath.Join(b.TempDir(), "model")
	if err := os.MkdirAll(config, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(gigabyte), 0o644); err != nil {
		b.Fatal(err)
	}
	raw, err := models.ReadConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	w, err := distributed.NewWorld([]device.Device{{}, {Index: 1}}, 1)
	if err != nil {
		b.Fatal(err)
	}
	cfg := fsdp.Config{BlockName: "LlamaDecoderLayer"}
	p := newReplicas(w)
	if err := w.Run(func(r *distributed.Rank) error {
		m, err := models.New(raw)
		if err != nil {
			return err
		}
		return p.shard(r, m, cfg)
	}); err != nil {
		b.Fatal(err)
	}
	s, err := OpenSession(dir)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Fill(p, config, nil); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d parameters", s.Parameters())
	p.Release()
	s.Close()
	w.Close()
	openAttached(b, dir, cfg)()
	b.Run("attach", func(b *testing.B) {
		for b.Loop() {
			done := openAttached(b, dir, cfg)
			b.StopTimer()
			done()
			b.StartTimer()
		}
	})
	b.Run("step", func(b *testing.B) {
		s, err := OpenSession(dir)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		for b.Loop() {
			if err := s.begin(); err != nil {
				b.Fatal(err)
			}
			if err := s.store.Commit(s.state); err != nil {
				b.Fatal(err)
			}
		}
	})
}
