package display

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Table is text in rows and columns. Columns of numbers stand to the right.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
}

// NewTable is a table without rows.
func NewTable(columns ...string) *Table { return &Table{Columns: columns} }

// Row adds a row, a cell of one line for each column, and returns the table.
func (t *Table) Row(cells ...string) *Table {
	if len(cells) != len(t.Columns) {
		refuse("Table.Row", fmt.Sprintf("%d cells, one for each of %s", len(t.Columns), strings.Join(t.Columns, ", ")), "%d", len(cells))
	}
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = oneLine(c)
	}
	t.Rows = append(t.Rows, row)
	return t
}

// oneLine is text without line ends.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\r\n") {
		return text
	}
	return strings.Join(strings.Fields(text), " ")
}

// Show displays the table.
func (t *Table) Show() { Show(t.MIME()) }

// number is what stands to the right: a number, with its unit if it has one.
var number = regexp.MustCompile(`^[-+−]?(\d[\d.,\x{202f} ]*([eE][-+]?\d+)?|Inf|NaN)?[ \x{202f}]?(%|×|[kMGT]?i?B|m?s|m)?$`)

// right tells for each column whether all that stands in it are numbers.
func (t *Table) right() []bool {
	out := make([]bool, len(t.Columns))
	for i := range out {
		some := false
		out[i] = true
		for _, r := range t.Rows {
			if i < len(r) && r[i] != "" && r[i] != "–" {
				some = true
				out[i] = out[i] && number.MatchString(r[i])
			}
		}
		out[i] = out[i] && some
	}
	return out
}

// String sets the table in columns for a terminal.
func (t *Table) String() string {
	if t == nil {
		return "nil"
	}
	widths := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		widths[i] = utf8.RuneCountInString(c)
		for _, r := range t.Rows {
			if i < len(r) {
				widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
			}
		}
	}
	right := t.right()
	var b strings.Builder
	if t.Title != "" {
		b.WriteString(t.Title + "\n")
	}
	line := func(cells []string) {
		var l strings.Builder
		for i := range t.Columns {
			cell := ""
			if i < len(cells) {
				cell = cells[i]
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				l.WriteString("  ")
			}
			if right[i] {
				l.WriteString(pad + cell)
			} else {
				l.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(t.Columns)
	var rule []string
	for _, w := range widths {
		rule = append(rule, strings.Repeat("─", w))
	}
	line(rule)
	for _, r := range t.Rows {
		line(r)
	}
	return strings.TrimRight(b.String(), "\n")
}

// HTML is the table as a fragment of a page. It takes its colours from the page,
// light or dark.
func (t *Table) HTML() string {
	right := t.right()
	var b strings.Builder
	b.WriteString("<table>\n")
	if t.Title != "" {
		fmt.Fprintf(&b, "<caption style=\"text-align:left;font-weight:bold;color:inherit\">%s</caption>\n", html.EscapeString(t.Title))
	}
	line := func(tag string, cells []string) {
		b.WriteString("<tr>")
		for i := range t.Columns {
			cell := ""
			if i < len(cells) {
				cell = cells[i]
			}
			side := "left"
			if right[i] {
				side = "right"
			}
			fmt.Fprintf(&b, `<%s align="%s" style="text-align:%s">%s</%s>`, tag, side, side, html.EscapeString(cell), tag)
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("<thead>")
	line("th", t.Columns)
	b.WriteString("</thead><tbody>\n")
	for _, r := range t.Rows {
		line("td", r)
	}
	b.WriteString("</tbody></table>")
	return b.String()
}

// MIME is the table as a notebook shows it.
func (t *Table) MIME() map[string]string {
	return map[string]string{"text/html": t.HTML(), plain: t.String()}
}
