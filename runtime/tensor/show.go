package tensor

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// hasMemory reports whether the elements can be read.
func (t *Tensor) hasMemory() bool {
	return !t.dead && t.storage.ptr != nil && (t.storage.memory == nil || !t.storage.memory.gone)
}

// first returns the leading n elements.
func (t *Tensor) first(n int) []float64 {
	t.storage.retain()
	part := bare(t.dev, t.storage, t.offset, []int{min(n, t.Len())})
	defer part.Release()
	return part.Float64s()
}

// String shows shape, type, device and up to eight elements.
func (t *Tensor) String() string {
	if !t.hasMemory() {
		return fmt.Sprintf("tensor(%v %s %s, no memory)", t.shape, t.DType(), t.dev)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "tensor(%v %s %s", t.shape, t.DType(), t.dev)
	const shown = 8
	for _, v := range t.first(shown) {
		fmt.Fprintf(&b, " %.5g", v)
	}
	if t.Len() > shown {
		b.WriteString(" …")
	}
	b.WriteString(")")
	return b.String()
}

// measured is how many elements MIME looks at; those of a larger tensor beyond
// it would take too long to fetch from a device.
const measured = 1 << 24

// statistics says in words what elements are like. Those that are not finite
// are counted, and left out of the rest.
func statistics(values []float64) string {
	lo, hi, sum, finite, zeros := math.Inf(1), math.Inf(-1), 0.0, 0, 0
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		lo, hi, sum = min(lo, v), max(hi, v), sum+v
		finite++
		if v == 0 {
			zeros++
		}
	}
	if finite == 0 {
		return fmt.Sprintf("%d elements, none of them finite", len(values))
	}
	mean, squares := sum/float64(finite), 0.0
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			squares += (v - mean) * (v - mean)
		}
	}
	text := fmt.Sprintf("least %.5g · mean %.5g · greatest %.5g · standard deviation %.5g", lo, mean, hi, math.Sqrt(squares/float64(finite)))
	if zeros > 0 {
		text += fmt.Sprintf(" · %d zeros", zeros)
	}
	if other := len(values) - finite; other > 0 {
		text += fmt.Sprintf(" · %d not finite", other)
	}
	return text
}

// MIME shows the tensor as a notebook does: shape, type, device, size, what its
// elements are like, and the first rows and columns.
func (t *Tensor) MIME() map[string]string {
	bundle := map[string]string{"text/plain": t.String()}
	if !t.hasMemory() || t.Len() == 0 {
		return bundle
	}
	var page strings.Builder
	fmt.Fprintf(&page, "<div><b>tensor %v</b> %s on %s, %d bytes", t.shape, t.DType(), t.dev, t.Len()*t.DType().Size())
	if t.RequiresGrad() {
		page.WriteString(", requires a gradient")
	}
	values := t.first(measured)
	page.WriteString("<br>" + html.EscapeString(statistics(values)))
	if t.Len() > len(values) {
		fmt.Fprintf(&page, " (of the first %d)", len(values))
	}
	page.WriteString("</div>")
	page.WriteString(t.corner(values))
	bundle["text/html"] = page.String()
	return bundle
}

// corner is a table of the first rows and columns, of the first matrix if there
// are several.
func (t *Tensor) corner(values []float64) string {
	const mostRows, mostColumns = 8, 10
	rows, columns := 1, 1
	if n := len(t.shape); n > 0 {
		columns = t.shape[n-1]
		if n > 1 {
			rows = t.shape[n-2]
		}
	}
	var b strings.Builder
	b.WriteString("<table>\n")
	if n := len(t.shape); n > 2 {
		fmt.Fprintf(&b, "<caption style=\"text-align:left;color:inherit\">[%s:, :]</caption>\n", strings.Repeat("0, ", n-2))
	}
	for i := range min(rows, mostRows) {
		b.WriteString("<tr>")
		for j := range min(columns, mostColumns) {
			if at := i*columns + j; at < len(values) {
				fmt.Fprintf(&b, `<td align="right" style="text-align:right">%.5g</td>`, values[at])
			}
		}
		if columns > mostColumns {
			b.WriteString("<td>…</td>")
		}
		b.WriteString("</tr>\n")
	}
	if rows > mostRows {
		b.WriteString("<tr><td>⋮</td></tr>\n")
	}
	b.WriteString("</table>")
	return b.String()
}
