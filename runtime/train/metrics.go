package train

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Metrics are the named numbers of one step or one evaluation, under the
// reference's names: rewards_train/margins, logps_eval/chosen, loss/train,
// grad_norm, examples_per_second, counters/examples.
type Metrics map[string]float64

// String shows the metrics as the reference prints them: sorted, five digits.
func (m Metrics) String() string {
	names := slices.Sorted(maps.Keys(m))
	parts := make([]string, len(names))
	for i, k := range names {
		parts[i] = fmt.Sprintf("'%s': '%.5g'", k, m[k])
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// MIME shows the metrics as a notebook does: a sorted table.
func (m Metrics) MIME() map[string]string {
	names := slices.Sorted(maps.Keys(m))
	var b strings.Builder
	b.WriteString("<table>\n")
	for _, name := range names {
		fmt.Fprintf(&b, `<tr><td align="left" style="text-align:left">%s</td><td align="right" style="text-align:right">%.5g</td></tr>`+"\n", html.EscapeString(name), m[name])
	}
	b.WriteString("</table>")
	return map[string]string{"text/html": b.String(), "text/plain": m.String()}
}

// MarshalJSON writes numbers that JSON has no name for as strings.
func (m Metrics) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			out[k] = fmt.Sprint(v)
		} else {
			out[k] = v
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Metrics) UnmarshalJSON(text []byte) error {
	var in map[string]any
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*m = make(Metrics, len(in))
	for k, v := range in {
		switch v := v.(type) {
		case float64:
			(*m)[k] = v
		case string:
			x, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return fmt.Errorf("metric %s: want a number, got %q", k, v)
			}
			(*m)[k] = x
		default:
			return fmt.Errorf("metric %s: want a number, got %v", k, v)
		}
	}
	return nil
}

// collector gathers per-example values and averages them over a whole batch,
// microbatches and ranks alike.
type collector map[string][]float32

func (c collector) add(name string, values []float32) { c[name] = append(c[name], values...) }

// means averages in float64, as a mean of Python floats does.
func (c collector) means() Metrics {
	m := Metrics{}
	for name, values := range c {
		sum := 0.0
		for _, v := range values {
			sum += float64(v)
		}
		m[name] = sum / float64(len(values))
	}
	return m
}

// Record is one line of metrics.jsonl and one point of a History.
type Record struct {
	Split    string // "train" or "eval"
	Examples int    // training pairs seen
	Updates  int    // optimizer steps taken
	Seconds  float64
	Metrics  Metrics
}

// History holds every record of a run, for curves and tables.
type History struct{ Records []Record }

// Series returns one metric's points in order: the number of examples seen and
// the value.
func (h *History) Series(metric string) (examples, values []float64) {
	for _, r := range h.Records {
		if v, ok := r.Metrics[metric]; ok {
			examples = append(examples, float64(r.Examples))
			values = append(values, v)
		}
	}
	return examples, values
}

// Last returns the newest value of a metric, NaN if there is none.
func (h *History) Last(metric string) float64 {
	for i := len(h.Records) - 1; i >= 0; i-- {
		if v, ok := h.Records[i].Metrics[metric]; ok {
			return v
		}
	}
	return math.NaN()
}
