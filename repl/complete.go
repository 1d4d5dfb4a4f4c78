package repl

import (
	"go/scanner"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dpolab/repl/frontend"
	"dpolab/runtime/config"
	"dpolab/stdlib/symbols"
)

// A Candidate is one way to complete what stands before the cursor.
type Candidate struct {
	Text string
	// Kind is that of [frontend.Member], or "keyword", "builtin", "path", "key".
	Kind, Type string
}

// Complete lists what the text before cursor, a byte offset, can go on with.
// Each candidate replaces text[start:cursor]. It may be called while a cell
// runs.
func (s *Session) Complete(text string, cursor int) (start int, out []Candidate) {
	s.scopeMu.Lock()
	defer s.scopeMu.Unlock()
	cursor = max(0, min(cursor, len(text)))
	before := text[:cursor]
	if from, ok := openString(before); ok {
		return completeString(before, from)
	}
	start = cursor
	for start > 0 && isIdentByte(before[start-1]) {
		start--
	}
	prefix := before[start:cursor]
	if start > 0 && before[start-1] == '.' {
		from := operand(before[:start-1])
		lines := before[:lineStart(before, from)]
		for _, m := range s.scope.Members(lines, before[from:start-1]) {
			if strings.HasPrefix(m.Name, prefix) {
				out = append(out, Candidate{m.Name, m.Kind, m.Type})
			}
		}
		return start, out
	}
	if prefix == "" {
		return start, nil
	}
	for _, m := range s.scope.Names() {
		if strings.HasPrefix(m.Name, prefix) {
			out = append(out, Candidate{m.Name, m.Kind, m.Type})
		}
	}
	for _, n := range types.Universe.Names() {
		if strings.HasPrefix(n, prefix) {
			out = append(out, Candidate{n, "builtin", ""})
		}
	}
	for _, k := range frontend.Keywords() {
		if strings.HasPrefix(k, prefix) {
			out = append(out, Candidate{k, "keyword", ""})
		}
	}
	for _, n := range localNames(before[:start]) {
		if strings.HasPrefix(n, prefix) && !slices.ContainsFunc(out, func(c Candidate) bool { return c.Text == n }) {
			out = append(out, Candidate{n, "var", ""})
		}
	}
	slices.SortStableFunc(out, func(a, b Candidate) int { return strings.Compare(a.Text, b.Text) })
	return start, out
}

// Inspect describes what stands at the cursor: its declaration or type, where
// it comes from, and its documentation.
func (s *Session) Inspect(text string, cursor int) (description string, found bool) {
	cursor = max(0, min(cursor, len(text)))
	end := cursor
	for end < len(text) && isIdentByte(text[end]) {
		end++
	}
	if end == cursor && end > 0 && text[end-1] == '(' { // inside a call's parentheses
		end--
	}
	from := operand(text[:end])
	expr := strings.TrimSpace(text[from:end])
	if expr == "" {
		return "", false
	}
	d, ok := s.describe(text[:lineStart(text, from)], expr)
	if !ok {
		return "", false
	}
	var b strings.Builder
	b.WriteString(d.Signature)
	if d.Cell != "" {
		b.WriteString("\n// defined in " + d.Cell)
	}
	doc := d.Doc
	if d.Package != "" {
		doc = symbols.Doc(d.Package, d.Name)
		if d.Name != "" && d.Package != "builtin" {
			b.WriteString("\n// package " + d.Package)
		}
	}
	if doc = strings.TrimSpace(doc); doc != "" {
		b.WriteString("\n\n" + doc)
	}
	if v, ok := s.Value(expr); ok {
		b.WriteString("\n\nvalue: " + s.Format(d.Type, v))
	}
	return b.String(), true
}

func (s *Session) describe(before, expr string) (frontend.Description, bool) {
	s.scopeMu.Lock()
	defer s.scopeMu.Unlock()
	return s.scope.Describe(before, expr)
}

func isIdentByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func lineStart(text string, at int) int { return strings.LastIndexByte(text[:at], '\n') + 1 }

// operand finds where the operand that ends the text begins: names, dots, and
// balanced brackets.
func operand(text string) int {
	i := len(text)
	for i > 0 {
		c := text[i-1]
		switch {
		case isIdentByte(c) || c == '.':
			i--
		case c == ')' || c == ']' || c == '}':
			j := opening(text, i-1)
			if j < 0 {
				return i
			}
			i = j
		default:
			return i
		}
	}
	return i
}

// opening finds the bracket that the one at i closes.
func opening(text string, i int) int {
	depth := 0
	for ; i >= 0; i-- {
		switch text[i] {
		case ')', ']', '}':
			depth++
		case '(', '[', '{':
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// openString reports where a string literal begins that the text does not end.
func openString(text string) (from int, ok bool) {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, []byte(text), func(p token.Position, msg string) {
		if strings.Contains(msg, "string") && strings.Contains(msg, "not terminated") {
			from, ok = p.Offset+1, true
		}
	}, 0)
	for {
		if _, tok, _ := s.Scan(); tok == token.EOF {
			return from, ok
		}
	}
}

// completeString completes file names, and the keys of training settings.
func completeString(before string, from int) (int, []Candidate) {
	typed := before[from:]
	var out []Candidate
	for _, k := range config.Keys() {
		if typed != "" && strings.HasPrefix(k, typed) {
			out = append(out, Candidate{k, "key", ""})
		}
	}
	dir, base := filepath.Split(typed)
	shown := dir
	if strings.HasPrefix(dir, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			dir = home + dir[1:]
		}
	}
	if dir == "" {
		dir = "."
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), base) || base == "" && strings.HasPrefix(e.Name(), ".") {
			continue
		}
		name := shown + e.Name()
		if e.IsDir() {
			name += "/"
		}
		out = append(out, Candidate{name, "path", ""})
	}
	return from, out
}

// localNames are the names that the unfinished cell itself has defined so far.
func localNames(text string) []string {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, []byte(text), nil, 0)
	var out, line []string
	for {
		_, tok, lit := s.Scan()
		switch tok {
		case token.EOF:
			slices.Sort(out)
			return slices.Compact(out)
		case token.IDENT:
			line = append(line, lit)
		case token.COMMA:
		case token.DEFINE:
			out = append(out, line...)
			line = nil
		default:
			line = nil
		}
	}
}
