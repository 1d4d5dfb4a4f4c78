package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// torchJob is one line to PyTorch's side: a case and what to try. It answers
// with a row for each variant and batch size, and then with an empty line.
type torchJob struct {
	Device   string   `json:"device"`
	Kind     string   `json:"kind"`
	Cached   bool     `json:"cached"`
	DType    string   `json:"dtype"`
	Variants []string `json:"variants"`
	Batches  []int    `json:"batches"`
	Rounds   int      `json:"rounds"`
	Slow     float64  `json:"slow"` // no larger batch after a step of so many seconds
	Pairs    []Pair   `json:"pairs"`
}

// theirs measures PyTorch, all cases of a group in one process.
func (r *gpuRun) theirs(ctx context.Context, group []*gpuCase) error {
	if r.o.Python == "" {
		return nil
	}
	if r.o.Limit > 0 { // a row that is under way may end, a hang may not
		var done context.CancelFunc
		ctx, done = context.WithDeadline(ctx, r.began.Add(r.o.Limit+2*time.Minute))
		defer done()
	}
	cmd := exec.CommandContext(ctx, r.o.Python, r.o.Script, r.model)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("bench: %s: %w", r.o.Python, err)
	}
	lines := bufio.NewScanner(out)
	fail := r.ask(group, json.NewEncoder(in), lines)
	in.Close()
	if fail != nil {
		cmd.Process.Kill()
	}
	if err := cmd.Wait(); err != nil && fail == nil {
		fail = err
	}
	if fail != nil {
		return fmt.Errorf("bench: %s: %w", r.o.Script, fail)
	}
	return nil
}

func (r *gpuRun) ask(group []*gpuCase, to *json.Encoder, lines *bufio.Scanner) error {
	if !lines.Scan() {
		return fmt.Errorf("it said nothing: %v", lines.Err())
	}
	r.torch = lines.Text()
	for _, c := range group {
		if r.late() {
			r.over = true
			return nil
		}
		pairs := gpuPairs(r.o, c.Lengths)
		job := torchJob{Device: r.o.Devices, Kind: c.Kind, Cached: c.Cached, DType: c.DType, Batches: r.o.Batches, Rounds: r.o.Rounds, Slow: slow, Pairs: wire(pairs),
			Variants: []string{"eager", "reference"}}
		if c.DType == "bfloat16" || r.o.Limit == 0 {
			job.Variants = append(job.Variants, "compiled")
		}
		if err := to.Encode(job); err != nil {
			return err
		}
		for lines.Scan() && lines.Text() != "" {
			var row gpuRow
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				return fmt.Errorf("it printed %q: %w", lines.Text(), err)
			}
			tokens := row.Tokens
			row.Tokens, row.Pairs = 0, 0
			if row.Error == "" {
				c.count(r.o.Shape, &row, pairs[row.Batch:row.Batch*(r.o.Rounds+1)])
				if row.Tokens != tokens {
					return fmt.Errorf("%s: it counted %d tokens where there are %d", row.Name, tokens, row.Tokens)
				}
				r.say("%s: %s, %d pairs: %.3f s a step", c.title(r.o), row.Name, row.Batch, row.Seconds)
			} else {
				r.say("%s: %s: %s", c.title(r.o), row.Name, strings.SplitN(row.Error, "\n", 2)[0])
			}
			r.listed(c).Rows = append(c.Rows, row)
			if err := r.write(); err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil {
			return err
		}
	}
	return nil
}
