package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"dpolab/runtime/tensor"
)

// worker is the state of our side's child process.
type worker struct{ job job }

// job takes training steps.
type job interface {
	// prepare is told of all examples to come, outside any measurement.
	prepare(examples []Pair) error
	step(examples []Pair) (reply, error)
	resetPeak()
	// allocated is the peak of the allocators since resetPeak.
	allocated() int64
	// logProbs are those of the responses, with the bytes of the weights.
	logProbs(examples []Pair) (reply, error)
	close() error
}

// Serve answers requests from in until it ends: it is our side of a contest.
func Serve(in io.Reader, out io.Writer) error {
	w := &worker{}
	lines := bufio.NewReader(in)
	enc := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return w.close()
		}
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		var req request
		if err := json.Unmarshal(line, &req); err != nil {
			return fmt.Errorf("bench: request: %w", err)
		}
		answer, err := w.answer(&req)
		if err != nil {
			answer = reply{Error: err.Error()}
		}
		if err := enc.Encode(answer); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
}

func (w *worker) answer(req *request) (out reply, err error) {
	misuse := tensor.Try(func() { out, err = w.handle(req) })
	if misuse != nil {
		return out, misuse
	}
	return out, err
}

func (w *worker) handle(req *request) (reply, error) {
	switch req.Op {
	case "versions":
		return reply{Versions: map[string]string{"go": runtime.Version()}}, nil
	case "open":
		if err := w.close(); err != nil {
			return reply{}, err
		}
		j, err := openJob(req.Job)
		if err == nil {
			w.job = j
		}
		return reply{}, err
	case "kernel":
		return timeKernel(req.Kernel)
	case "load":
		return loadModel(req.Path)
	case "read":
		return readFile(req.Path)
	case "memory":
		rss, peak, err := residentMemory()
		out := reply{RSS: rss, Peak: peak}
		if w.job != nil {
			out.Allocated = w.job.allocated()
		}
		return out, err
	}
	if w.job == nil {
		return reply{}, fmt.Errorf("bench: request %q before open", req.Op)
	}
	switch req.Op {
	case "prepare":
		return reply{}, w.job.prepare(req.Examples)
	case "step":
		before := processorSeconds()
		out, err := w.job.step(req.Examples)
		out.CPU = []float64{processorSeconds() - before}
		return out, err
	case "logprobs":
		return w.job.logProbs(req.Examples)
	case "reset_peak":
		w.job.resetPeak()
		return reply{}, resetPeakRSS()
	}
	return reply{}, fmt.Errorf("bench: unknown request %q", req.Op)
}

func (w *worker) close() error {
	if w.job == nil {
		return nil
	}
	err := w.job.close()
	w.job = nil
	return err
}

// processorSeconds is what this process has used of all processors so far.
func processorSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return math.NaN()
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// resetPeakRSS makes the kernel forget the peak of this process's memory.
func resetPeakRSS() error {
	if runtime.GOOS != "linux" {
		return nil
	}
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// residentMemory reads this process's resident bytes, now and at the peak; 0
// where the system does not say.
func residentMemory() (now, peak int64, err error) {
	if runtime.GOOS != "linux" {
		return 0, 0, nil
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	field := func(name string) int64 {
		_, rest, _ := strings.Cut(string(text), name+":")
		n, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
		return n * 1024
	}
	return field("VmRSS"), field("VmHWM"), nil
}
