//go:build cuda

package cuda_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"dpolab/kernels/cuda/internal/fake"
	"dpolab/runtime/bench"
)

// TestBench runs the GPU benchmark with a tiny model: every case has a row, and
// the profile says where its time went.
func TestBench(t *testing.T) {
	if os.Getenv("DPOLAB_TEST_CUDA") == "" {
		fake.Install(t)
	}
	o := bench.DefaultGPUOptions()
	o.Shape, o.Length, o.Batches, o.Rounds, o.Limit, o.Peak = bench.Shape{Type: "gpt_neox", Layers: 1, Hidden: 64, Heads: 1, Vocabulary: 64, Positions: 1024}, 16, []int{1}, 1, 0, 1e12
	report, saved := "", 0
	err := bench.MeasureGPU(context.Background(), o, func(name, text string) error {
		report = text
		saved++
		return nil
	}, func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| dpolab \| 1 \| [\d.]+ \| \d+ \| [\d.]+ \| [\d.]+ % \| [\d.]+ \| 1.00 \|$`).FindAllString(report, -1)
	if len(rows) != 18 || saved < 18 {
		t.Errorf("%d rows, saved %d times:\n%s", len(rows), saved, report)
	}
	for _, want := range []string{"## DPO, sequences of 16, bfloat16, reference cached", "### Where the time goes", "| gemm | ", "| flash | ", "| norm | ", "| update | ",
		"| utilisation, fixed length | 46 %, if possible 53 % | ", "| to the best PyTorch step, fixed length | 1.2 times | not measured |"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
	if !regexp.MustCompile(`\| idle, HH lengths \| less than 5 % \| [\d.]+ % \| (not )?reached \|`).MatchString(report) {
		t.Errorf("no idle share in\n%s", report)
	}
}
