package repl

import (
	"fmt"
	"io"
	"log"
	"reflect"
	"strings"

	"dpolab/stdlib/symbols"
)

// Package fmt answers %T and %p itself, without asking a Formatter. So its
// functions for cells give boxes these two verbs under other names, which the
// boxes know.
const (
	typeVerb    = 'Ŧ'
	pointerVerb = 'Ꝑ'
)

// replaced are functions of a package as cells get them: those of fmt know
// boxes, those of log write to the session, and a sleep ends by an interrupt.
// Printf, which the interpreter keeps its own of, is the host's.
func (s *Session) replaced(path string) map[string]reflect.Value {
	switch path {
	case "fmt":
		return map[string]reflect.Value{
			"Sprintf": reflect.ValueOf(func(format string, a ...any) string { return fmt.Sprintf(boxVerbs(format, a), a...) }),
			"Errorf":  reflect.ValueOf(func(format string, a ...any) error { return fmt.Errorf(boxVerbs(format, a), a...) }),
			"Fprintf": reflect.ValueOf(func(w io.Writer, format string, a ...any) (int, error) {
				return fmt.Fprintf(w, boxVerbs(format, a), a...)
			}),
			"Appendf": reflect.ValueOf(func(b []byte, format string, a ...any) []byte { return fmt.Appendf(b, boxVerbs(format, a), a...) }),
		}
	case "log":
		return logFunctions(log.New(s.errOut, "", log.LstdFlags))
	case "time":
		return map[string]reflect.Value{"Sleep": reflect.ValueOf(s.sleep)}
	}
	return nil
}

// logFunctions are those of package log for one logger. What is fatal ends the
// cell with an exit status.
func logFunctions(l *log.Logger) map[string]reflect.Value {
	exit := func() { panic(symbols.ExitCode(1)) }
	out := map[string]reflect.Value{}
	for name, f := range map[string]any{
		"Print": l.Print, "Println": l.Println, "Panic": l.Panic, "Panicln": l.Panicln, "Output": l.Output, "Default": func() *log.Logger { return l },
		"Printf":  func(format string, a ...any) { l.Print(fmt.Sprintf(boxVerbs(format, a), a...)) },
		"Panicf":  func(format string, a ...any) { l.Panic(fmt.Sprintf(boxVerbs(format, a), a...)) },
		"Fatal":   func(a ...any) { l.Print(a...); exit() },
		"Fatalln": func(a ...any) { l.Println(a...); exit() },
		"Fatalf":  func(format string, a ...any) { l.Print(fmt.Sprintf(boxVerbs(format, a), a...)); exit() },
		"Flags":   l.Flags, "SetFlags": l.SetFlags, "Prefix": l.Prefix, "SetPrefix": l.SetPrefix, "Writer": l.Writer, "SetOutput": l.SetOutput,
	} {
		out[name] = reflect.ValueOf(f)
	}
	return out
}

// boxVerbs renames the verbs that boxes must answer themselves.
func boxVerbs(format string, args []any) string {
	if !strings.Contains(format, "T") && !strings.Contains(format, "p") {
		return format
	}
	var b strings.Builder
	arg := 0
	for i := 0; i < len(format); i++ {
		b.WriteByte(format[i])
		if format[i] != '%' {
			continue
		}
		for i++; i < len(format); i++ {
			c := format[i]
			switch {
			case strings.IndexByte("+-# 0.123456789", c) >= 0:
				b.WriteByte(c)
				continue
			case c == '*':
				arg++
				b.WriteByte(c)
				continue
			case c == '[':
				end := strings.IndexByte(format[i:], ']')
				if end < 0 {
					return format
				}
				n := 0
				if _, err := fmt.Sscanf(format[i+1:i+end], "%d", &n); err == nil {
					arg = n - 1
				}
				b.WriteString(format[i : i+end+1])
				i += end
				continue
			}
			isBox := false
			if arg >= 0 && arg < len(args) {
				_, isBox = args[arg].(boxed)
			}
			switch {
			case c == 'T' && isBox:
				b.WriteRune(typeVerb)
			case c == 'p' && isBox:
				b.WriteRune(pointerVerb)
			default:
				b.WriteByte(c)
			}
			if c != '%' {
				arg++
			}
			break
		}
	}
	return b.String()
}
