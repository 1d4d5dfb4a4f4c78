package terminal

import (
	"strings"

	"dpolab/repl"
)

// completer gives the line editor the session's candidates.
type completer struct {
	session *repl.Session
	above   func() string // lines of the entry before the current one
}

// Do returns what each candidate adds to the line, and how many runes before
// the cursor they share.
func (c *completer) Do(line []rune, pos int) (suffixes [][]rune, length int) {
	typed := string(line[:pos])
	if word, ok := strings.CutPrefix(typed, "%"); ok && !strings.Contains(word, " ") {
		for _, cmd := range commands {
			if strings.HasPrefix(cmd.name, word) {
				suffixes = append(suffixes, []rune(cmd.name[len(word):]+" "))
			}
		}
		return suffixes, len([]rune(word))
	}
	text := c.above() + fromMarks.Replace(strings.TrimPrefix(typed, "?"))
	start, candidates := c.session.Complete(text, len(text))
	prefix := text[start:]
	for _, k := range candidates {
		suffix := strings.TrimPrefix(k.Text, prefix)
		if k.Kind == "package" && suffix == "" {
			suffix = "."
		}
		suffixes = append(suffixes, []rune(suffix))
	}
	return suffixes, len([]rune(prefix))
}
