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
		Use:   "bench-cuda",
		Short: "Measure training steps of a Pythia-2.8B-shaped model on a GPU, beside PyTorch",
		Long: `Trains a model of Pythia-2.8B's shape on a GPU: DPO and SFT, sequences of 512 tokens and the lengths of
Anthropic HH, bfloat16, TF32 and float32, reference log-probs cached and not, beside the reference's own step and
PyTorch's best. The report is written anew after every row, what matters most first.`,
		Example: "  dpolab bench-cuda --python .venv/bin/python --out docs/benchmarks\n  dpolab bench-cuda --limit 0 --rounds 10",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if tiny {
				o.Shape, o.Length, o.Batches, o.Rounds = bench.Shape{Type: "gpt_neox", Layers: 2, Hidden: 64, Heads: 4, Vocabulary: 512, Positions: 2048}, 64, []int{1, 2}, 2
			}
			text := ""
			err := bench.MeasureGPU(cmd.Context(), o, func(name, report string) error {
				if text = report; out == "" {
					return nil
				}
				return os.WriteFile(filepath.Join(out, fmt.Sprintf("%s_%s.md", name, time.Now().UTC().Format(time.DateOnly))), []byte(report), 0o644)
			}, func(line string) { fmt.Fprintln(os.Stderr, line) })
			fmt.Print(text) // as far as it has come
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Devices, "devices", o.Devices, "what to measure on")
	f.StringVar(&o.Python, "python", "", "Python with PyTorch and transformers; without it our side is measured alone")
	f.StringVar(&o.Script, "script", o.Script, "PyTorch's side of the benchmark")
	f.DurationVar(&o.Limit, "limit", o.Limit, "when to stop beginning with further rows; 0 measures all, and torch.compile in every type")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "timed steps of each row")
	f.IntSliceVar(&o.Batches, "batches", o.Batches, "pairs a step to try, rising until memory ends or nothing is gained")
	f.Float64Var(&o.Peak, "peak", 0, "the chip's dense bfloat16 operations a second (default: looked up by name)")
	f.StringVar(&o.WorkDir, "work-dir", "", "where to keep the weights made for the benchmark (default: a temporary directory)")
	f.BoolVar(&tiny, "tiny", false, "a tiny model, to try the benchmark itself")
	f.StringVar(&out, "out", "", "directory for the report")
	return cmd
}
