package dpo

import (
	"fmt"
	"html"
	"regexp"
	"strings"

	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/stdlib/display"
)

// layerNumber is the number of a repeated block in a parameter's name.
var layerNumber = regexp.MustCompile(`\.\d+\.`)

// Summary lists the model's parameters: those of repeated blocks in one row,
// with what of them each rank holds once the model is on devices, the type they
// are kept in and the type they are computed in.
func (m *Model) Summary() *display.Table {
	t := display.NewTable("parameter", "module", "shape", "blocks", "elements", "on each rank", "kept in", "computed in")
	t.Title = m.String()
	built := m.built
	if m.placed != nil {
		built = m.placed.Model(0)
	}
	if built == nil {
		return t
	}
	for _, r := range m.parameterRows(built) {
		t.Row(r.name, r.class, r.shape, fmt.Sprint(r.blocks), grouped(r.elements), r.share(), m.master.String(), m.computedIn().String())
	}
	return t
}

// parameterRow is the parameters of all blocks that have one name but for the
// block's number.
type parameterRow struct {
	name, class, shape string
	blocks, elements   int
	ranks              []int // elements on each rank
}

func (r parameterRow) share() string {
	if len(r.ranks) == 0 {
		return "–"
	}
	lo, hi := r.ranks[0], r.ranks[0]
	for _, n := range r.ranks {
		lo, hi = min(lo, n), max(hi, n)
	}
	if lo == hi {
		return grouped(lo)
	}
	return grouped(lo) + " – " + grouped(hi)
}

func (m *Model) parameterRows(built models.CausalLM) []*parameterRow {
	classes := map[*nn.Parameter]string{}
	nn.Walk(built, func(_ string, sub nn.Module) {
		for _, p := range nn.Parameters(sub) {
			classes[p] = sub.Base().Class() // the innermost module comes last
		}
	})
	var rows []*parameterRow
	known := map[string]*parameterRow{}
	at := map[string]*parameterRow{}
	for _, np := range nn.NamedParameters(built) {
		name := layerNumber.ReplaceAllString(np.Name, ".N.")
		shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(np.Parameter.Shape()), "[]"), " ", "×")
		r := known[name+shape]
		if r == nil {
			r = &parameterRow{name: name, class: classes[np.Parameter], shape: shape}
			known[name+shape] = r
			rows = append(rows, r)
		}
		r.blocks++
		r.elements += np.Parameter.Len()
		at[np.Name] = r
	}
	if m.placed == nil {
		return rows
	}
	for rank := range m.placed.World().Size() {
		for _, s := range m.placed.Sharded(rank).ShardedState() {
			r := at[s.Name]
			if r.ranks == nil {
				r.ranks = make([]int, m.placed.World().Size())
			}
			n := s.RowEnd - s.RowStart
			for _, d := range s.Shape[1:] {
				n *= d
			}
			r.ranks[rank] += n
		}
	}
	return rows
}

// computedIn is the type of forward and backward.
func (m *Model) computedIn() DType {
	if dt := m.wrap.MixedPrecision.ParamDType; dt.IsFloat() {
		return dt
	}
	return m.master
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

// MIME shows the model as a notebook does: where it is, and its parameters.
func (m *Model) MIME() map[string]string {
	t := m.Summary()
	t.Title = ""
	return map[string]string{"text/html": "<div><b>" + html.EscapeString(m.String()) + "</b></div>" + t.HTML(), "text/plain": m.String()}
}
