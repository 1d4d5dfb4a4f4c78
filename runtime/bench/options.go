package bench

import (
	"strings"

	"dpolab/kernels/device"
)

// Options say what to measure and with what.
type Options struct {
	// Self is the command line of our side's child, a program that calls Serve.
	Self []string
	// Python runs Server, PyTorch's side; empty measures our side alone.
	Python, Server string
	// Rounds is how often each side takes its turn.
	Rounds int
	// Threads lists the thread counts to measure with.
	Threads []int
	// Quick measures every table in fewer rows, each as a full run does but for
	// three rounds: torch.compile on the smallest model, PyTorch with the settings
	// that were fastest before instead of all, the large model and kernels with all
	// threads only, preference pairs on the smaller model, and ends instead of
	// whole lines of scaling.
	Quick bool
	// Case keeps only cases whose name contains it.
	Case string
	// HH is a file of Anthropic HH, Tokenizer a tokenizer.json to read it with;
	// without them pairs are random tokens of the same lengths.
	HH, Tokenizer string
	// WorkDir is where checkpoints are written; they are reused.
	WorkDir string
	// ProfileDir, if set, receives a CPU profile of every step of ours.
	ProfileDir string
}

// DefaultOptions measure everything, with one thread and with all, in five
// rounds.
func DefaultOptions() Options {
	o := Options{Rounds: 5, Threads: []int{1}, Server: ".ci/python/bench_server.py"}
	if n, _ := device.Processors(); n > 1 {
		o.Threads = append(o.Threads, n)
	}
	return o
}

func (o *Options) wants(name string) bool { return strings.Contains(name, o.Case) }

func (o *Options) most() int { return o.Threads[len(o.Threads)-1] }
