package jupyter

import (
	"regexp"
	"strings"

	"dpolab/repl/terminal"
)

// inspect describes what stands at the cursor. In detail, it also shows the
// cell that declared it.
func (k *Kernel) inspect(r *request) (string, any) {
	var ask struct {
		Code   string `json:"code"`
		Cursor int    `json:"cursor_pos"`
		Detail int    `json:"detail_level"`
	}
	if err := r.read(&ask); err != nil {
		return "inspect_reply", failed("MessageError", err.Error())
	}
	text, cursor := ask.Code, byteOffset(ask.Code, ask.Cursor)
	if at, command := terminal.CellOf(text); command && cursor >= at {
		text, cursor = text[at:], cursor-at
	}
	description, found := k.session.Inspect(text, cursor)
	data := map[string]string{}
	if found {
		if ask.Detail > 0 {
			description += k.declaration(description)
		}
		data[plain], data["text/markdown"] = description, markdown(description)
	}
	return "inspect_reply", struct {
		Status   string            `json:"status"`
		Found    bool              `json:"found"`
		Data     map[string]string `json:"data"`
		Metadata struct{}          `json:"metadata"`
	}{Status: "ok", Found: found, Data: data}
}

var definedIn = regexp.MustCompile(`(?m)^// defined in (.+)$`)

// declaration is the text of the cell that a description names.
func (k *Kernel) declaration(description string) string {
	m := definedIn.FindStringSubmatch(description)
	if m == nil {
		return ""
	}
	text, ok := k.sources.find(m[1])
	if !ok {
		return ""
	}
	return "\n\n" + m[1] + ":\n\n\t" + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n\t")
}

// markdown sets the first paragraph, which is Go, as code, and keeps the lines
// of the documentation below it.
func markdown(description string) string {
	code, doc, _ := strings.Cut(description, "\n\n")
	text := "```go\n" + code + "\n```\n"
	if doc != "" {
		text += "\n" + doc + "\n"
	}
	return text
}
