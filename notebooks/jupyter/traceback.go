package jupyter

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"dpolab/repl"
	"dpolab/repl/frontend"
)

// maxSources is how many cells' text is kept to quote from.
const maxSources = 4096

// sources is the text of cells, by name.
type sources struct {
	mu    sync.Mutex
	text  map[string]string
	order []string
}

func (s *sources) add(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text == nil {
		s.text = map[string]string{}
	}
	if _, known := s.text[name]; !known {
		s.order = append(s.order, name)
	}
	s.text[name] = text
	if len(s.order) > maxSources {
		delete(s.text, s.order[0])
		s.order = s.order[1:]
	}
}

func (s *sources) find(name string) (text string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok = s.text[name]
	return text, ok
}

// Colours of a traceback.
const (
	red   = "\x1b[31m"
	blue  = "\x1b[34m"
	faint = "\x1b[2m"
	reset = "\x1b[0m"
)

// failureOf says what is wrong with a cell: in one line, and with the lines of
// the cell that it is about.
func (k *Kernel) failureOf(err error) failure {
	f := failure{Status: "error"}
	var wrong frontend.Errors
	var c *repl.CellError
	switch {
	case errors.As(err, &wrong) && len(wrong) > 0:
		f.Name, f.Value = "CompileError", wrong.Error()
		for _, w := range wrong {
			f.Traceback = append(f.Traceback, red+w.Error()+reset)
			if w.Pos.IsValid() {
				f.Traceback = append(f.Traceback, k.quote(w.Pos.Filename, w.Pos.Line, w.Pos.Column)...)
			}
		}
	case errors.As(err, &c):
		f.Name, f.Value = errorName(c), c.Message
		f.Traceback = append(f.Traceback, red+f.Name+": "+c.Message+reset)
		if name, line, column, ok := place(c.Place); ok {
			f.Traceback = append(f.Traceback, blue+c.Place+reset)
			f.Traceback = append(f.Traceback, k.quote(name, line, column)...)
		}
		for i, call := range c.Calls {
			how := "  called from "
			if i == 0 {
				how = "  in "
			}
			f.Traceback = append(f.Traceback, faint+how+call+reset)
		}
	default:
		f.Name, f.Value = "Error", err.Error()
		f.Traceback = []string{red + err.Error() + reset}
	}
	return f
}

// errorName is what a front end shows in front of the message.
func errorName(c *repl.CellError) string {
	switch c.Kind {
	case "interrupted":
		return "Interrupted"
	case "exit":
		return fmt.Sprintf("Exit %d", c.Status)
	}
	fallback := "Error"
	if c.Kind == "panic" {
		fallback = "Panic"
	}
	if _, ok := c.Err.(runtime.Error); ok {
		return fallback
	}
	if t := reflect.TypeOf(c.Err); t != nil {
		if name := strings.TrimPrefix(t.String(), "*"); name != "errors.errorString" && !strings.HasPrefix(name, "fmt.") && !strings.Contains(name, "{") {
			return name
		}
	}
	return fallback
}

var placePattern = regexp.MustCompile(`^(.*?):(\d+)(?::(\d+))?$`)

// place reads a position such as "cell 3:7:2".
func place(text string) (name string, line, column int, ok bool) {
	m := placePattern.FindStringSubmatch(text)
	if m == nil {
		return "", 0, 0, false
	}
	line, err := strconv.Atoi(m[2])
	column, _ = strconv.Atoi(m[3])
	return m[1], line, column, err == nil
}

// quote is a line of a cell with those around it, and a mark below the column
// if that is known.
func (k *Kernel) quote(name string, line, column int) []string {
	text, ok := k.sources.find(name)
	lines := strings.Split(text, "\n")
	if !ok || line < 1 || line > len(lines) {
		return nil
	}
	var out []string
	for n := max(1, line-2); n <= min(len(lines), line+2); n++ {
		mark, colour := "  ", faint
		if n == line {
			mark, colour = "> ", ""
		}
		out = append(out, fmt.Sprintf("%s%s%4d %s%s", colour, mark, n, lines[n-1], reset))
		if n == line && column > 0 && column <= len(lines[n-1])+1 {
			before := strings.Map(func(r rune) rune {
				if r == '\t' {
					return r
				}
				return ' '
			}, lines[n-1][:column-1])
			out = append(out, red+"       "+before+"^"+reset)
		}
	}
	return out
}
