package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"dpolab/runtime/bench"
)

// benchCommand measures beside PyTorch. Its child processes are this program
// again, with --serve.
func benchCommand() *cobra.Command {
	o := bench.DefaultOptions()
	serve, out, rounds := false, "", 0
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure training steps and kernels, beside PyTorch where there is one",
		Long: "Measure training steps and kernels, in interleaved rounds beside PyTorch when --python\n" +
			"names an interpreter that has it. Tables go to stdout, progress to stderr.",
		Example: "  dpolab bench --quick --case sft\n  dpolab bench --python .venv-bench/bin/python --out docs/benchmarks",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if serve {
				return bench.Serve(os.Stdin, os.Stdout)
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			o.Self = []string{self, "bench", "--serve"}
			if o.Quick {
				o.Rounds = 3
			}
			if rounds > 0 {
				o.Rounds = rounds
			}
			report, err := bench.Run(cmd.Context(), o, func(line string) { fmt.Fprintln(os.Stderr, line) })
			if report != nil {
				report.Print(os.Stdout) // interrupted, what there is; a whole report in the folder stays
			}
			if err != nil || out == "" {
				return err
			}
			return report.Save(out)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Quick, "quick", false, "ten minutes instead of an hour: three rounds, fewer rows of each table")
	f.StringVar(&o.Case, "case", "", "only cases whose name contains this: sft, dpo, precision, layout, kernel, scaling, start")
	f.IntVar(&rounds, "rounds", 0, "rounds per side (default 5)")
	f.IntSliceVar(&o.Threads, "threads", o.Threads, "thread counts to measure with")
	f.StringVar(&o.Python, "python", "", "Python with PyTorch and transformers; without it our side is measured alone")
	f.StringVar(&o.Server, "server", o.Server, "PyTorch's side of the benchmark")
	f.StringVar(&o.HH, "hh", "", "Anthropic HH file whose pairs to train on (default: random tokens of the same lengths)")
	f.StringVar(&o.Tokenizer, "tokenizer", "", "tokenizer.json or its folder, for --hh")
	f.StringVar(&o.WorkDir, "work-dir", "", "where to keep the checkpoints made for the benchmark (default: a temporary directory)")
	f.StringVar(&o.ProfileDir, "profile", "", "existing directory for CPU profiles of our steps")
	f.StringVar(&out, "out", "", "directory for the figures as JSON and markdown")
	f.BoolVar(&serve, "serve", false, "answer a benchmark's requests on stdin")
	_ = f.MarkHidden("serve")
	return cmd
}
