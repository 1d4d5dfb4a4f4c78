package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"dpolab/notebooks/jupyter"
	"dpolab/stdlib/dpo"
)

func kernelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kernel",
		Short: "Install or run the Jupyter kernel",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(kernelInstallCommand(), kernelRunCommand())
	return cmd
}

func kernelInstallCommand() *cobra.Command {
	var o jupyter.SpecOptions
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Make the kernel known to Jupyter",
		Long: "Make the kernel known to Jupyter: for the user, or in an environment. The folder it is\n" +
			"installed to is the one line on stdout. Installing again replaces what was there.",
		Example: "  dpolab kernel install\n  dpolab kernel install --prefix \"$VIRTUAL_ENV\" --name dpolab-dev",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := jupyter.Install(o)
			if err != nil {
				return fmt.Errorf("kernel install: %w", err)
			}
			fmt.Println(folder)
			return nil
		},
	}
	cmd.Flags().Bool("user", false, "install for the user, which is the default")
	cmd.Flags().StringVar(&o.Prefix, "prefix", "", "install below DIR/share/jupyter, as into a virtual environment")
	cmd.Flags().StringVar(&o.Name, "name", jupyter.DefaultName, "the kernel's name")
	cmd.Flags().StringVar(&o.DisplayName, "display-name", "", "what notebooks show (default \"Go (dpolab)\")")
	cmd.MarkFlagsMutuallyExclusive("user", "prefix")
	return cmd
}

func kernelRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run CONNECTION_FILE",
		Short: "Run the kernel; Jupyter calls this",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			connection, err := jupyter.ReadConnection(args[0])
			if err != nil {
				return err
			}
			// Ctrl-C in the terminal of a console stops a cell, not the kernel.
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			dpo.SetContext(ctx)
			dpo.SetArgs(nil) // the command's own words are not a cell's settings
			os.Args = os.Args[:1]
			return jupyter.Run(ctx, jupyter.Options{
				Connection: connection, Version: version(), Context: dpo.SetContext,
				Memory: func() string { return dpo.Memory().String() }, Reset: dpo.Reset,
				History: jupyter.HistoryFile(),
			})
		},
	}
}
