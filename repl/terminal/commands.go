package terminal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// A command is a line that begins with %.
type command struct {
	name, args, help string
	run              func(t *Terminal, args string) error
}

var commands []command

// cellArgument is the argument of commands that run what follows them.
const cellArgument = "CELL"

func init() {
	commands = []command{
		{"help", "", "list the commands", (*Terminal).help},
		{"time", cellArgument, "run a cell and say how long it took", (*Terminal).time},
		{"who", "", "list what the session has declared", (*Terminal).who},
		{"mem", "", "show the memory of the devices", (*Terminal).mem},
		{"run", "FILE", "run a saved script in this session", (*Terminal).runFile},
		{"save", "FILE", "write the cells that ran to a script", (*Terminal).save},
		{"reset", "", "forget every declaration and free the devices", (*Terminal).reset},
		{"quit", "", "end the session", func(t *Terminal, _ string) error { t.quit = true; return nil }},
	}
}

// Commands lists the names of the commands.
func Commands() []string {
	var out []string
	for _, c := range commands {
		out = append(out, c.name)
	}
	return out
}

// IsCommand tells commands and questions from cells.
func IsCommand(text string) bool {
	trimmed := strings.TrimSpace(text)
	return strings.HasPrefix(trimmed, "%") || strings.HasPrefix(trimmed, "?") ||
		strings.HasSuffix(trimmed, "?") && !strings.Contains(trimmed, "\n")
}

// CellOf returns where the cell begins that a command takes, as %time does.
func CellOf(text string) (offset int, ok bool) {
	start := len(text) - len(strings.TrimLeft(text, " \t\n"))
	for _, c := range commands {
		rest, ok := strings.CutPrefix(text[start:], "%"+c.name)
		if ok && c.args == cellArgument && rest != "" && strings.ContainsAny(rest[:1], " \t\n") {
			return start + 1 + len(c.name) + 1, true
		}
	}
	return 0, false
}

func (t *Terminal) command(line string) error {
	name, args := strings.TrimPrefix(line, "%"), ""
	if i := strings.IndexAny(name, " \t\n"); i >= 0 {
		name, args = name[:i], strings.TrimSpace(name[i+1:])
	}
	for _, c := range commands {
		if c.name != name {
			continue
		}
		if c.args != "" && args == "" {
			return fmt.Errorf("%%%s: want %%%s %s", name, name, c.args)
		}
		if c.args == "" && args != "" {
			return fmt.Errorf("%%%s takes no argument, got %q", name, args)
		}
		return c.run(t, args)
	}
	return fmt.Errorf("%%%s is no command; %%help lists them", name)
}

func (t *Terminal) help(string) error {
	w := tabwriter.NewWriter(t.Stdout, 0, 0, 2, ' ', 0)
	for _, c := range commands {
		fmt.Fprintf(w, "%%%s %s\t%s\n", c.name, c.args, c.help)
	}
	fmt.Fprintf(w, "?NAME\tdocumentation and type of a name\n")
	fmt.Fprintf(w, "Tab\tcompletes names, members, files in strings and settings\n")
	fmt.Fprintf(w, "Ctrl-C\tstops the running cell; twice leaves a stuck call behind\n")
	return w.Flush()
}

func (t *Terminal) time(text string) error {
	start := time.Now()
	err := t.cell(text)
	fmt.Fprintf(t.Stdout, "time: %s\n", time.Since(start).Round(time.Microsecond))
	return err
}

func (t *Terminal) who(string) error {
	w := tabwriter.NewWriter(t.Stdout, 0, 0, 2, ' ', 0)
	for _, e := range t.Session.Names() {
		value := ""
		if v, ok := t.Session.Value(e.Name); ok {
			if obj := t.Session.Scope().Object(e.Name); obj != nil {
				value = shorten(t.Session.Format(obj.Type(), v), 48)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.Name, e.Kind, shorten(e.Type, 40), value, e.Cell)
	}
	return w.Flush()
}

func shorten(text string, n int) string {
	text = strings.ReplaceAll(text, "\n", " ")
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

func (t *Terminal) mem(string) error {
	if t.Memory == nil {
		return fmt.Errorf("%%mem: no devices in this session")
	}
	fmt.Fprintln(t.Stdout, strings.TrimRight(t.Memory(), "\n"))
	return nil
}

func (t *Terminal) runFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%%run: %w", err)
	}
	return t.Session.RunFile(filepath.Base(path), string(text))
}

// save writes beside the file first, so that an older script is lost to nothing
// but its successor.
func (t *Terminal) save(path string) error {
	if len(t.saved) == 0 {
		return fmt.Errorf("%%save: no cell has run yet")
	}
	text := fmt.Sprintf("// Saved from a dpolab session; run it with: dpolab run %s\n", filepath.Base(path))
	for _, c := range t.saved {
		text += "\n// %%\n" + c
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return fmt.Errorf("%%save: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("%%save: %w", err)
	}
	fmt.Fprintf(t.Stdout, "%d cells in %s\n", len(t.saved), path)
	return nil
}

func (t *Terminal) reset(string) error {
	if t.Reset != nil {
		t.Reset()
	}
	t.saved = nil
	return t.Session.Reset()
}
