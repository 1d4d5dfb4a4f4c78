package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dpolab/repl"
	"dpolab/repl/terminal"
	"dpolab/stdlib/display"
	"dpolab/stdlib/dpo"
)

// openSession opens a session whose cells reach this process's devices.
func openSession() (*repl.Session, error) {
	dpo.SetContext(context.Background())
	return repl.NewSession(repl.Options{Stdin: os.Stdin, Stdout: display.Stdout(), Stderr: display.Stderr(), Context: dpo.SetContext})
}

// prompt is what dpolab without a command does.
func prompt() error {
	s, err := openSession()
	if err != nil {
		return err
	}
	defer dpo.Reset()
	interactive := term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
	err = terminal.Run(terminal.Options{
		Session: s, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Interactive: interactive,
		Greeting: "dpolab: Go cells with dpo, gonum and the standard library. %help for help, Ctrl-D to leave.",
		Memory:   func() string { return dpo.Memory().String() },
		Reset:    dpo.Reset,
	})
	var status terminal.Status
	if errors.As(err, &status) {
		return exit(status)
	}
	return err
}

// exit is an exit status without a message of its own.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run FILE.go [key=value...]",
		Short: "Run a saved experiment",
		Long: "Run a saved experiment: a Go program with a main function, or cells as a session saves\n" +
			"them. Words after the file reach it as settings (dpo.FloatSetting and the like) and as\n" +
			"os.Args. A program runs the same compiled, with go run.\n\n" +
			"The exit status is 1 if it fails, 130 after Ctrl-C, and that of os.Exit if it calls that.",
		Example: "  dpolab run examples/beta-sweep/main.go\n  dpolab run experiment.go loss.beta=0.2 steps=40",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runScript(args[0], args[1:])
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func runScript(path string, words []string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	dpo.SetArgs(words)
	os.Args = append([]string{path}, words...)
	s, err := openSession()
	if err != nil {
		return err
	}
	defer dpo.Reset()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	go func() {
		for range signals {
			s.Interrupt()
		}
	}()
	err = s.RunFile(filepath.Base(path), string(text))
	if err == nil {
		err = dpo.Try(dpo.CheckSettings)
	}
	var c *repl.CellError
	if errors.As(err, &c) && c.Kind == "exit" {
		if c.Status == 0 {
			return nil
		}
		return exit(c.Status)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if repl.IsInterrupt(err) || errors.Is(err, dpo.Interrupted) {
			return exit(130)
		}
		return exit(1)
	}
	return nil
}
