package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Report is everything a run measured.
type Report struct {
	Date     string            `json:"date"`
	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	Notes    []string          `json:"notes,omitempty"`
	Options  Options           `json:"-"`
	Contests []Contest         `json:"contests"`
}

// add keeps a contest, unless an interrupt cut it off.
func (d *driver) add(ctx context.Context, c Contest) {
	if ctx.Err() == nil {
		d.report.Contests = append(d.report.Contests, c)
	}
}

// Save writes the raw figures as JSON and the tables as markdown into dir,
// named for the processor and the day: amd-epyc_2026-11-25.json and .md.
func (r *Report) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	base := filepath.Join(dir, r.Machine.slug()+"_"+r.Date)
	if err := os.WriteFile(base+".json", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	var md strings.Builder
	r.Print(&md)
	if err := os.WriteFile(base+".md", []byte(md.String()), 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// Print writes the tables as markdown.
func (r *Report) Print(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "# CPU benchmarks, %s\n\n%s, %d cores, %s memory, %s. Commit %s.", r.Date, m.CPU, m.Cores, m.Memory, m.System, m.Commit)
	var names []string
	for k := range r.Versions {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		fmt.Fprintf(w, " %s %s.", k, r.Versions[k])
	}
	fmt.Fprintf(w, "\n\nMedians of %d interleaved rounds after a warm-up of %d steps and %d seconds or more on either side, quartiles in brackets; the side that is not measuring is stopped. A ratio above 1 is in our favour. CPU is processor time, all threads together: on a machine with other work it is what remains comparable.\n", r.Options.Rounds, warmSteps, warmSeconds)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
	r.printSteps(w)
	r.printPrecision(w)
	r.printLayouts(w)
	r.printKernels(w)
	r.printScaling(w)
	r.printStart(w)
	r.printFailures(w)
}

// of returns the contests of a section.
func (r *Report) of(section string) []Contest {
	var out []Contest
	for _, c := range r.Contests {
		if c.Section == section {
			out = append(out, c)
		}
	}
	return out
}

// table writes a heading and a markdown table, if it has rows.
func table(w io.Writer, title, note string, columns []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n| %s |\n|%s\n", title, note, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}

// spread shows seconds as milliseconds: median [lower–upper quartile].
func spread(s []float64) string {
	if len(s) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s [%s–%s]", digits(1e3*median(s)), digits(1e3*quantile(s, 0.25)), digits(1e3*quantile(s, 0.75)))
}

// digits shows three significant digits without an exponent.
func digits(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "–"
	}
	if x == 0 {
		return "0"
	}
	return fmt.Sprintf("%.*f", max(0, 2-int(math.Floor(math.Log10(math.Abs(x))))), x)
}

func ratio(a, b float64) string {
	if q := a / b; a > 0 && b > 0 && !math.IsInf(q, 0) {
		return fmt.Sprintf("%.2f", q)
	}
	return "–"
}

func megabytes(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", float64(n)/1e6)
}

func (r *Report) printSteps(w io.Writer) {
	var rows [][]string
	for _, c := range r.of("steps") {
		for _, ours := range c.Sides {
			if !ours.Ours {
				continue
			}
			own := []string{c.Case, fmt.Sprint(c.Threads), ours.Name, spread(ours.Seconds), digits(c.Work/median(ours.Seconds)) + " " + c.Unit + "/s"}
			faced := false
			for _, theirs := range c.Sides {
				if theirs.Ours {
					continue
				}
				faced = true
				difference := "–"
				if d := lossDifference(ours.Losses, theirs.Losses); !math.IsNaN(d) {
					difference = fmt.Sprintf("%.1e", d)
				}
				rows = append(rows, append(own[:len(own):len(own)], theirs.label(), spread(theirs.Seconds), ratio(median(theirs.Seconds), median(ours.Seconds)), ratio(median(theirs.CPU), median(ours.CPU)), difference,
					megabytes(ours.PeakRSS)+" / "+megabytes(theirs.PeakRSS), ratio(float64(theirs.PeakRSS), float64(ours.PeakRSS)),
					ratio(float64(theirs.PeakRSS-theirs.IdleRSS), float64(ours.PeakRSS-ours.IdleRSS))))
			}
			if !faced {
				rows = append(rows, append(own, "–", "–", "–", "–", "–", megabytes(ours.PeakRSS)+" / –", "–", "–"))
			}
		}
	}
	table(w, "Training steps", "One optimizer step: forward, loss, backward, clipping, RMSprop. `sft` steps hold no padding on either side; `dpo` steps are 8 preference pairs with HH's lengths, the other side being the "+
		"reference code's own step. Loss is the largest relative difference of any step's loss. Peaks are resident bytes of the whole process in MB, ours / theirs; net leaves out what each process takes before it loads a model.",
		[]string{"case", "threads", "ours", "ms", "rate", "theirs", "ms", "ratio", "CPU ratio", "loss", "peak MB", "memory ratio", "net"}, rows)
}

// label names the setting that won, where there was a choice, and how long a
// compiler took.
func (s Side) label() string {
	if strings.HasPrefix(s.Name, compiler) && len(s.Warm) > 0 {
		return fmt.Sprintf("%s (compiled in %.0f s)", s.Name, s.Warm[0])
	}
	best, least := "", math.Inf(1)
	for _, t := range s.Tried {
		if t.Error == "" && t.Seconds < least {
			best, least = t.Name, t.Seconds
		}
	}
	if best == "" {
		return s.Name
	}
	return s.Name + " (" + best + ")"
}

// printPrecision compares the sides of each contest with its first, float32.
func (r *Report) printPrecision(w io.Writer) {
	var rows [][]string
	for _, c := range r.of("precision") {
		if len(c.Sides) != 2 || c.Sides[0].Error != "" || c.Sides[1].Error != "" {
			continue
		}
		full, half := c.Sides[0], c.Sides[1]
		mean, worst := logProbDifference(full.LogProbs, half.LogProbs)
		rows = append(rows, []string{strings.TrimPrefix(c.Case, "precision "), fmt.Sprint(c.Threads), spread(full.Seconds), spread(half.Seconds), ratio(median(full.Seconds), median(half.Seconds)), ratio(median(full.CPU), median(half.CPU)),
			megabytes(int64(full.ParameterBytes)) + " / " + megabytes(int64(half.ParameterBytes)), megabytes(full.Allocated) + " / " + megabytes(half.Allocated), ratio(float64(full.Allocated), float64(half.Allocated)),
			fmt.Sprintf("%.1e", mean), fmt.Sprintf("%.1e", worst), fmt.Sprintf("%.1e", lossDifference(full.Losses, half.Losses))})
	}
	table(w, "bfloat16 beside float32", "Our own steps in both, interleaved; bfloat16 is the policy BFloat16Mixed (weights and activations bfloat16, masters, gradients' sums and optimizer float32). Memory is the allocator's, in MB, float32 / bfloat16: the weights as the forward pass reads them, and the peak of a step. Log-prob differences are of each response's summed log-probability before the first step, over its float32 value.",
		[]string{"case", "threads", "float32 ms", "bfloat16 ms", "ratio", "CPU ratio", "weights MB", "peak MB", "ratio", "log-prob, mean", "largest", "loss"}, rows)
}

func (r *Report) printLayouts(w io.Writer) {
	var rows [][]string
	for _, c := range r.of("layouts") {
		if len(c.Sides) != 2 || c.Sides[0].Error != "" || c.Sides[1].Error != "" {
			continue
		}
		a, b := c.Sides[0], c.Sides[1]
		rows = append(rows, []string{c.Case, digits(a.Tokens), digits(b.Tokens), ratio(b.Tokens, a.Tokens), spread(a.Seconds), spread(b.Seconds), ratio(median(b.Seconds), median(a.Seconds)),
			megabytes(a.Allocated), megabytes(b.Allocated), ratio(float64(b.Allocated), float64(a.Allocated)), fmt.Sprintf("%.1e", lossDifference(a.Losses, b.Losses))})
	}
	table(w, "Packed and padded batches", "Our kernels on both layouts of the same pairs: forward, DPO loss with a uniform reference, backward. Labelled rows alone meet the vocabulary in both. Memory is the allocator's peak, weights and gradients included.",
		[]string{"case", "packed tokens", "padded tokens", "ratio", "packed ms", "padded ms", "ratio", "packed MB", "padded MB", "ratio", "loss"}, rows)
}

func (r *Report) printKernels(w io.Writer) {
	peak := map[int]float64{}
	var rows [][]string
	rate := func(c Contest, i int) float64 {
		if i >= len(c.Sides) {
			return math.NaN()
		}
		return c.Work / median(c.Sides[i].Seconds)
	}
	for _, c := range r.of("kernels") {
		if c.Case == peakCase {
			peak[c.Threads] = rate(c, 0)
			rows = append(rows, []string{c.Case, fmt.Sprint(c.Threads), digits(rate(c, 0)), "–", "–", "100 %"})
			continue
		}
		share := "–"
		if p := peak[c.Threads]; p > 0 {
			share = fmt.Sprintf("%.0f %%", 100*rate(c, 0)/p)
		}
		rows = append(rows, []string{strings.TrimPrefix(c.Case, "kernel "), fmt.Sprint(c.Threads), digits(rate(c, 0)), digits(rate(c, 1)), ratio(rate(c, 0), rate(c, 1)), share})
	}
	table(w, "Kernels", "GFLOP/s of the arithmetic that an operation needs. Share is ours of the measured float32 multiply-add peak.",
		[]string{"operation", "threads", "ours", "PyTorch", "ratio", "share of peak"}, rows)
}

func (r *Report) printScaling(w io.Writer) {
	var rows [][]string
	first, firstCPU := 1.0, 1.0
	for _, c := range r.of("scaling") {
		s, cpu := median(c.Sides[0].Seconds), median(c.Sides[0].CPU)
		if c.Law == 1 {
			first, firstCPU = s, cpu
		}
		rows = append(rows, []string{c.Case, spread(c.Sides[0].Seconds), digits(s / first), digits(c.Law), digits(s / first / c.Law), digits(cpu / firstCPU), digits(cpu / s)})
	}
	table(w, "Scaling", "Our float32 step of 4 layers, D=256, V=4096, over the first row of its kind, beside what floating operations and cores alone would give. CPU is processor time over the first row's: where it grows with threads or ranks alone, more is computed or copied, or cores that share caches and memory are slower together. Cores is how many were busy on average: fewer than there are threads means that they waited for one another, or for other programs.",
		[]string{"case", "ms", "measured", "expected", "measured / expected", "CPU", "cores"}, rows)
}

func (r *Report) printStart(w io.Writer) {
	var rows [][]string
	for _, c := range r.of("start") {
		s := c.Sides[0]
		row := []string{strings.TrimPrefix(c.Case, "start "), spread(s.Seconds), digits(1e3 * median(s.CPU)), "–", "–", "–"}
		if c.Work > 0 {
			row[3] = digits(c.Work / median(s.Seconds))
		}
		if s.HeapAllocated > 0 {
			row[4], row[5] = digits(float64(s.HeapGrowth)/1e6), digits(float64(s.HeapAllocated)/1e6)
		}
		rows = append(rows, row)
	}
	table(w, "Start", "From a process's start to the end of `dpolab version`, and to the session's prompt in a terminal. A checkpoint of 498 MB, float32, is loaded into memory of the backend's, and its file read through a small buffer, both from the disk and from the system's cache. Heap is what the load leaves on Go's, and what it allocated there.",
		[]string{"case", "ms", "CPU ms", "GB/s", "heap MB", "allocated MB"}, rows)
}

func (r *Report) printFailures(w io.Writer) {
	var lines []string
	for _, c := range r.Contests {
		for _, s := range c.Sides {
			if s.Error != "" {
				lines = append(lines, fmt.Sprintf("- %s, %d threads, %s: %s", c.Case, c.Threads, s.Name, s.Error))
			}
			for _, t := range s.Tried {
				if t.Error != "" {
					lines = append(lines, fmt.Sprintf("- %s, %d threads, %s, %s: %s", c.Case, c.Threads, s.Name, t.Name, t.Error))
				}
			}
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(w, "\n## What did not run\n\n%s\n", strings.Join(lines, "\n"))
	}
}
