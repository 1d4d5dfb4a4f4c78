package dpo

import (
	"fmt"
	"html"
	"math"
	"regexp"
	"sort"
	"strings"
)

// shownPairs is how many pairs a notebook shows of many.
const shownPairs = 6

// Colours of Okabe and Ito (2008), told apart with any colour vision. They are
// laid over the page half transparent, so that text keeps the page's colour, in
// light and dark notebooks.
const (
	blue      = "0,114,178"
	vermilion = "213,94,0"
	grey      = "128,128,128"
)

// painted is text on a background, with line ends as signs.
func painted(token, colour string, strength float64, hint string) string {
	text := strings.ReplaceAll(html.EscapeString(token), "\n", "↵")
	if hint != "" {
		hint = fmt.Sprintf(` title="%s"`, html.EscapeString(hint))
	}
	return fmt.Sprintf(`<span%s style="background-color:rgba(%s,%.2f)">%s</span>`, hint, colour, strength, text)
}

// role is a row of a pair: what it is, and its text.
func role(name, content string) string {
	return fmt.Sprintf(`<tr><th align="left" style="text-align:left;vertical-align:top">%s</th><td align="left" style="text-align:left;white-space:pre-wrap">%s</td></tr>`+"\n", name, content)
}

// prose is a text without the empty lines that prompts have.
func prose(text string) string {
	return html.EscapeString(emptyLines.ReplaceAllString(strings.TrimSpace(text), "\n"))
}

var emptyLines = regexp.MustCompile(`\n\s*\n`)

// MIME shows the pair as a notebook does, the responses one above the other.
func (p Pair) MIME() map[string]string {
	page := "<table>\n" + role("prompt", prose(p.Prompt)) +
		role("chosen", painted(strings.TrimSpace(p.Chosen), blue, 0.2, "")) + role("rejected", painted(strings.TrimSpace(p.Rejected), vermilion, 0.2, "")) + "</table>"
	return map[string]string{"text/html": page, "text/plain": p.String()}
}

// MIME shows how many pairs there are, and the first of them.
func (p *Preferences) MIME() map[string]string {
	var b strings.Builder
	fmt.Fprintf(&b, "<div><b>%s</b></div>", html.EscapeString(p.String()))
	for i := range min(3, p.Len()) {
		b.WriteString(p.Pair(i).MIME()["text/html"])
	}
	return map[string]string{"text/html": b.String(), "text/plain": p.String()}
}

// MIME shows every token of the first pairs on the colour of its role.
func (b *Batch) MIME() map[string]string {
	var page strings.Builder
	fmt.Fprintf(&page, "<div><b>%s</b> · %s %s %s</div>", b, painted(" prompt ", grey, 0.3, ""), painted(" chosen ", blue, 0.35, ""), painted(" rejected ", vermilion, 0.35, ""))
	for i, e := range b.examples {
		if i == shownPairs {
			fmt.Fprintf(&page, "<div>… and %d more</div>", b.Len()-i)
			break
		}
		note := ""
		if e.Truncated {
			note += ", prompt cut"
		}
		if e.LostEOS {
			note += ", response cut"
		}
		page.WriteString("<table>\n" + role(fmt.Sprintf("prompt<br>%d tokens%s", len(e.Prompt), note), b.striped(e.Prompt, grey)) +
			role(fmt.Sprintf("chosen<br>%d tokens", len(e.Chosen)), b.striped(e.Chosen, blue)) +
			role(fmt.Sprintf("rejected<br>%d tokens", len(e.Rejected)), b.striped(e.Rejected, vermilion)) + "</table>")
	}
	return map[string]string{"text/html": page.String(), "text/plain": b.String()}
}

// striped paints tokens in two strengths by turns, so that one is told from the
// next.
func (b *Batch) striped(ids []int32, colour string) string {
	var line strings.Builder
	for i, id := range ids {
		token := fmt.Sprint(id)
		if b.tok != nil {
			token = b.tok.tok.Decode([]int32{id}, false)
		}
		line.WriteString(painted(token, colour, []float64{0.18, 0.38}[i%2], fmt.Sprintf("token %d", id)))
	}
	return line.String()
}

// MIME shows the tokens on colours, blue for numbers above zero and red for
// those below, and in words the strongest of each response.
func (r TokenReport) MIME() map[string]string {
	largest := r.Largest()
	var page strings.Builder
	fmt.Fprintf(&page, "<div><b>%s</b> · %s %s</div>", html.EscapeString(r.Title),
		painted(fmt.Sprintf(" %+.3g ", largest), blue, strongest, ""), painted(fmt.Sprintf(" %+.3g ", -largest), vermilion, strongest, ""))
	for i, p := range r.Pairs {
		if i == shownPairs {
			fmt.Fprintf(&page, "<div>… and %d more</div>", len(r.Pairs)-i)
			break
		}
		page.WriteString("<table>\n" + role("prompt", prose(p.Prompt)) +
			role(fmt.Sprintf("chosen<br>%+.3f", p.Chosen.Sum()), p.Chosen.painted(largest)) +
			role(fmt.Sprintf("rejected<br>%+.3f", p.Rejected.Sum()), p.Rejected.painted(largest)) + "</table>")
	}
	return map[string]string{"text/html": page.String(), "text/plain": r.String()}
}

// strongest is how much of the colour the largest number gets: text must stay
// readable on it.
const strongest = 0.55

// painted is the response's tokens on colours that largest gives full strength.
func (s TokenScores) painted(largest float64) string {
	var line strings.Builder
	for i, v := range s.Values {
		colour, strength := blue, 0.0
		if v < 0 {
			colour = vermilion
		}
		if largest > 0 {
			strength = strongest * math.Abs(v) / largest
		}
		line.WriteString(painted(s.Tokens[i], colour, strength, fmt.Sprintf("%+.4f", v)))
	}
	order := make([]int, len(s.Values))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return math.Abs(s.Values[order[a]]) > math.Abs(s.Values[order[b]]) })
	var most []string
	for _, i := range order[:min(4, len(order))] {
		most = append(most, fmt.Sprintf("%q %+.3f", s.Tokens[i], s.Values[i]))
	}
	return line.String() + "<br><small>strongest: " + html.EscapeString(strings.Join(most, ", ")) + "</small>"
}
