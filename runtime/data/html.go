package data

import (
	"html"
	"strings"
)

// node is an element of an HTML tree, or a text if it has no tag.
type node struct {
	tag      string
	text     string
	comment  bool
	children []*node
}

// stripHTML keeps of a post what the reference keeps: of each paragraph at the
// top level the text that is directly in it (not what is inside links, emphasis
// or inline code), and of each code block its text between <code> and </code>.
// Lists, quotes and headings at the top level go.
func stripHTML(post string) string {
	var parts []string
	code := func(n *node) { parts = append(parts, "<code>"+n.allText()+"</code>") }
	for _, n := range parseHTML(post).children {
		switch n.tag {
		case "p":
			var b strings.Builder
			for _, c := range n.children {
				if c.tag == "" {
					b.WriteString(c.text)
				}
			}
			parts = append(parts, b.String())
		case "pre":
			n.each("code", code)
		case "code":
			code(n)
		}
	}
	return strings.Join(parts, "\n\n")
}

// each visits the descendants with a tag, in document order.
func (n *node) each(tag string, visit func(*node)) {
	for _, c := range n.children {
		if c.tag == tag {
			visit(c)
		}
		c.each(tag, visit)
	}
}

// allText joins the texts of all descendants, comments left out.
func (n *node) allText() string {
	if n.tag == "" && !n.comment {
		return n.text
	}
	var b strings.Builder
	for _, c := range n.children {
		b.WriteString(c.allText())
	}
	return b.String()
}

var voidTags = map[string]bool{"area": true, "base": true, "br": true, "col": true, "embed": true, "hr": true, "img": true, "input": true,
	"keygen": true, "link": true, "menuitem": true, "meta": true, "param": true, "source": true, "track": true, "wbr": true,
	"basefont": true, "bgsound": true, "command": true, "frame": true, "image": true, "isindex": true, "nextid": true, "spacer": true}

// parseHTML builds the tree that BeautifulSoup builds with Python's
// html.parser: elements nest exactly as their tags do, nothing is closed but by
// its end tag or an outer one's, and an end tag without a start is ignored.
func parseHTML(s string) *node {
	root := &node{tag: "[document]"}
	open := []*node{root}
	var text strings.Builder
	add := func(n *node) {
		top := open[len(open)-1]
		top.children = append(top.children, n)
	}
	flush := func() {
		if text.Len() > 0 {
			add(&node{text: collapse(text.String(), open)})
			text.Reset()
		}
	}
	for len(s) > 0 {
		at := strings.IndexByte(s, '<')
		if at != 0 {
			if at < 0 {
				at = len(s)
			}
			text.WriteString(html.UnescapeString(s[:at]))
			s = s[at:]
			continue
		}
		switch {
		case strings.HasPrefix(s, "<!--"):
			body, rest, closed := strings.Cut(s[4:], "-->")
			if !closed {
				text.WriteString(html.UnescapeString(s))
				s = ""
				break
			}
			flush()
			add(&node{text: body, comment: true})
			s = rest
		case len(s) > 2 && s[1] == '/' && isWordByte(s[2]):
			flush()
			end := endOfTag(s)
			open = closeTag(open, tagName(s[2:]))
			s = s[end:]
		case len(s) > 1 && isWordByte(s[1]):
			flush()
			n, end := &node{tag: tagName(s[1:])}, endOfTag(s)
			add(n)
			if !voidTags[n.tag] && !strings.HasSuffix(s[:end], "/>") {
				open = append(open, n)
			}
			s = s[end:]
		default:
			text.WriteByte('<')
			s = s[1:]
		}
	}
	flush()
	return root
}

// collapse reduces white space between tags to one character, except where it
// is preserved.
func collapse(text string, open []*node) string {
	if strings.Trim(text, " \n\t\f\r") != "" {
		return text
	}
	for _, n := range open {
		if n.tag == "pre" || n.tag == "textarea" {
			return text
		}
	}
	if strings.Contains(text, "\n") {
		return "\n"
	}
	return " "
}

// closeTag pops the innermost open element of that name and all inside it.
func closeTag(open []*node, tag string) []*node {
	for i := len(open) - 1; i > 0; i-- {
		if open[i].tag == tag {
			return open[:i]
		}
	}
	return open
}

func tagName(s string) string {
	if i := strings.IndexAny(s, " \t\n\r\f/>"); i >= 0 {
		s = s[:i]
	}
	return strings.ToLower(s)
}

// endOfTag is the position after the tag's '>', which may stand in a quoted
// attribute value before.
func endOfTag(s string) int {
	quote := byte(0)
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && s[i-1] == '=':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return len(s)
}
