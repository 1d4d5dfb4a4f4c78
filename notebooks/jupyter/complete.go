package jupyter

import (
	"go/token"
	"strings"
	"unicode/utf8"

	"dpolab/repl/frontend"
	"dpolab/repl/terminal"
)

// byteOffset turns a position in characters, as front ends count, into one in
// bytes; one outside the text becomes its end.
func byteOffset(text string, characters int) int {
	for i := range text {
		if characters <= 0 {
			return i
		}
		characters--
	}
	return len(text)
}

// characters turns a position in bytes into one in characters.
func characters(text string, offset int) int { return utf8.RuneCountInString(text[:offset]) }

// completion is one entry of the list, with what front ends show beside it.
type completion struct {
	Text      string `json:"text"`
	Type      string `json:"type"`
	Signature string `json:"signature,omitempty"`
	Start     int    `json:"start"`
	End       int    `json:"end"`
}

// completionTypes are the words by which JupyterLab chooses an icon.
var completionTypes = map[string]string{
	"package": "module", "func": "function", "method": "function", "type": "class", "var": "instance", "field": "property",
	"const": "constant", "keyword": "keyword", "builtin": "function", "path": "path", "key": "param", "command": "magic",
}

func (k *Kernel) complete(r *request) (string, any) {
	var ask struct {
		Code   string `json:"code"`
		Cursor int    `json:"cursor_pos"`
	}
	if err := r.read(&ask); err != nil {
		return "complete_reply", failed("MessageError", err.Error())
	}
	cursor := byteOffset(ask.Code, ask.Cursor)
	start, entries := k.candidates(ask.Code, cursor)
	matches, typed := []string{}, []completion{}
	for i := range entries {
		c := &entries[i]
		c.Start, c.End = characters(ask.Code, start), characters(ask.Code, cursor)
		matches, typed = append(matches, c.Text), append(typed, *c)
	}
	return "complete_reply", struct {
		Status   string         `json:"status"`
		Matches  []string       `json:"matches"`
		Start    int            `json:"cursor_start"`
		End      int            `json:"cursor_end"`
		Metadata map[string]any `json:"metadata"`
	}{"ok", matches, characters(ask.Code, start), characters(ask.Code, cursor), map[string]any{"_jupyter_types_experimental": typed}}
}

// candidates lists how the text before the cursor can go on: commands behind a
// %, else what the session knows.
func (k *Kernel) candidates(text string, cursor int) (start int, out []completion) {
	if word, ok := strings.CutPrefix(text[:cursor], "%"); ok && !strings.ContainsAny(word, " \t\n") {
		for _, name := range terminal.Commands() {
			if strings.HasPrefix(name, word) {
				out = append(out, completion{Text: name, Type: completionTypes["command"]})
			}
		}
		return 1, out
	}
	skip := 0
	if at, command := terminal.CellOf(text[:cursor]); command {
		skip = at
	}
	start, candidates := k.session.Complete(text[skip:], cursor-skip)
	for _, c := range candidates {
		entry := completion{Text: c.Text, Type: completionTypes[c.Kind]}
		if c.Kind == "func" || c.Kind == "method" || c.Kind == "var" || c.Kind == "field" {
			entry.Signature = c.Type
		}
		out = append(out, entry)
	}
	return start + skip, out
}

// isComplete tells consoles whether Enter runs the text or begins another line.
func (k *Kernel) isComplete(r *request) (string, any) {
	var ask struct {
		Code string `json:"code"`
	}
	if err := r.read(&ask); err != nil {
		return "is_complete_reply", failed("MessageError", err.Error())
	}
	content := struct {
		Status string  `json:"status"`
		Indent *string `json:"indent,omitempty"`
	}{Status: completeness(ask.Code)}
	if content.Status == "incomplete" {
		indent := indentOf(ask.Code)
		content.Indent = &indent
	}
	return "is_complete_reply", content
}

func completeness(text string) string {
	trimmed := strings.TrimSpace(text)
	switch {
	case terminal.IsCommand(text) && !strings.HasPrefix(trimmed, "%"):
		return "complete"
	case terminal.IsCommand(text):
		at, command := terminal.CellOf(text)
		if !command || strings.TrimSpace(text[at:]) == "" {
			return "complete"
		}
		text = text[at:]
	}
	if frontend.Incomplete(text) {
		return "incomplete"
	}
	if _, err := frontend.Parse(token.NewFileSet(), "cell", text); err != nil {
		return "invalid"
	}
	return "complete"
}

// indentOf is the white space that the next line should begin with.
func indentOf(text string) string {
	text = strings.TrimRight(text, " \t\n")
	line := text[strings.LastIndexByte(text, '\n')+1:]
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if strings.HasSuffix(line, "{") || strings.HasSuffix(line, "(") || strings.HasSuffix(line, "[") {
		indent += "\t"
	}
	return indent
}
