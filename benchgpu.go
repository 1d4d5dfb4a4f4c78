package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"dpolab/runtime/bench"
)

// benchGPUCommand measures training steps on a GPU.
func benchGPUCommand() *cobra.Command {
	o, out, tiny := bench.DefaultGPUOptions(), "", false
	cmd := &cobra.Command{
		Use:     "bench-cuda",
		Short:   "Measure training steps of a Pythia-2.8B-shaped model on a GPU, beside PyTorch",
		Example: "  dpolab bench-cuda --python .venv/bin/python --out docs/benchmarks",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if tiny {
				o.Shape, o.Length, o.Batches, o.Rounds = bench.Shape{Type: "gpt_neox", Layers: 2, Hidden: 64, Heads: 4, Vocabulary: 512, Positions: 2048}, 64, []int{1, 2}, 1
			}
			file, err := os.CreateTemp("", "bench-cuda")
			if err != nil {
				return err
			}
			defer os.Remove(file.Name())
			name, err := bench.MeasureGPU(cmd.Context(), o, file, func(line string) { fmt.Fprintln(os.Stderr, line) })
			if err != nil {
				return err
			}
			if err := file.Close(); err != nil {
				return err
			}
			text, err := os.ReadFile(file.Name())
			if err != nil {
				return err
			}
			os.Stdout.Write(text)
			if out == "" {
				return nil
			}
			return os.WriteFile(filepath.Join(out, fmt.Sprintf("%s_%s.md", name, time.Now().UTC().Format(time.DateOnly))), text, 0o644)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Devices, "devices", o.Devices, "what to measure on")
	f.StringVar(&o.Python, "python", "", "Python with PyTorch and transformers; without it our side is measured alone")
	f.StringVar(&o.Script, "script", o.Script, "PyTorch's side of the benchmark")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "timed steps of each row")
	f.IntSliceVar(&o.Batches, "batches", o.Batches, "pairs a step to try, rising until memory ends")
	f.Float64Var(&o.Peak, "peak", 0, "the chip's dense bfloat16 operations a second (default: looked up by name)")
	f.StringVar(&o.WorkDir, "work-dir", "", "where to keep the weights made for the benchmark (default: a temporary directory)")
	f.BoolVar(&tiny, "tiny", false, "a tiny model, to try the benchmark itself")
	f.StringVar(&out, "out", "", "directory for the report")
	return cmd
}
