// Command dpolab trains language models on preferences: supervised
// fine-tuning, DPO and IPO, with FSDP and mixed precision over every device of
// the machine in one process.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/cuda"
	"dpolab/kernels/device"
	"dpolab/runtime/config"
	"dpolab/runtime/demo"
	_ "dpolab/runtime/models/all"
	"dpolab/runtime/train"
	"dpolab/stdlib/display"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "dpolab",
		Short:         "Preference-optimization experiments in one process",
		Long:          "Preference-optimization experiments in one process. Without a command: a session of Go cells.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, args []string) error { return prompt() },
	}
	root.AddCommand(runCommand(), trainCommand(), kernelCommand(), demoCommand(), benchCommand(), benchGPUCommand(), devicesCommand(), versionCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	err := root.ExecuteContext(ctx)
	if err == nil {
		return
	}
	var status exit
	if errors.As(err, &status) {
		os.Exit(int(status))
	}
	fmt.Fprintln(os.Stderr, "dpolab:", err)
	if errors.Is(err, train.ErrInterrupted) || errors.Is(err, context.Canceled) {
		os.Exit(130)
	}
	os.Exit(1)
}

func trainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "train key=value...",
		Short: "Train a model, with the reference DPO code's keys",
		Example: `  dpolab train model=blank_model model.name_or_path=DIR datasets=[hh] hh.path=FILE loss=sft exp_name=sft

  dpolab train model=blank_model model.name_or_path=DIR model.block_name=LlamaDecoderLayer \
      datasets=[hh] hh.path=FILE loss=dpo loss.beta=0.1 model.archive=SFT_DIR \
      trainer=FSDPTrainer devices=cpu:2 model.fsdp_policy_mp=bfloat16 exp_name=dpo`,
		Long: "Train a model on preference pairs. Progress and log lines go to stderr, metrics to\n" +
			"metrics.jsonl in the run directory, whose path is the one line on stdout. Ctrl-C stops,\n" +
			"takes the unfinished step back and writes a checkpoint; resume=DIR continues from one.\n\n" +
			"model=NAME and loss=NAME choose presets: model=blank_model, gpt2-large, gpt2-xl, llama7b,\n" +
			"pythia28, pythia69; loss=sft, dpo, ipo. Keys and defaults:\n\n" + config.Help(),
		RunE: func(cmd *cobra.Command, words []string) error {
			exp, err := config.Parse(words)
			if err != nil {
				return err
			}
			console := newConsole()
			defer console.close()
			run, err := exp.Start(cmd.Context(), console.events())
			if err != nil {
				return err
			}
			defer run.Close()
			if err := run.Trainer.Run(cmd.Context()); err != nil {
				return err
			}
			console.close()
			if run.World.Leads() {
				fmt.Println(run.Dir)
			}
			return nil
		},
	}
}

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "demo [DIR]",
		Short:   "Run SFT, then DPO in float32 and bfloat16, on an embedded tiny model",
		Example: "  dpolab demo demo-run",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "demo-run"
			if len(args) == 1 {
				dir = args[0]
			}
			console := newConsole()
			defer console.close()
			return demo.Run(cmd.Context(), dir, display.Stdout(), func(title string) train.Events { return console.stage(title) })
		},
	}
}

func devicesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "devices",
		Short:   "Show what this machine can compute on",
		Example: "  dpolab devices",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := kernels.Open(device.Device{Type: device.CPU}, 0)
			if err != nil {
				return err
			}
			defer b.Close()
			fmt.Printf("cpu   %s (DPOLAB_BF16: auto, widen, native or int16)\n", b.Describe())
			threads, why := device.Processors()
			fmt.Printf("      threads: %d by default, %s; threads=N sets those of each rank\n", threads, why)
			fmt.Printf("      tiers %v (DPOLAB_CPU chooses); float32 and, stored in half the bytes, bfloat16 and float16\n", cpu.Tiers())
			showCUDA(cuda.Examine())
			return nil
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, args []string) {
			fmt.Printf("dpolab %s (%s %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}

// version is the release, or the commit that was built.
func version() string {
	version := "development"
	if info, ok := debug.ReadBuildInfo(); ok {
		if v := info.Main.Version; v != "" && v != "(devel)" {
			version = v
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version = s.Value
			}
		}
	}
	return version
}
