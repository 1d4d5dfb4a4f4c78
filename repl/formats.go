package repl

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Package fmt answers %T and %p itself, without asking a Formatter. So its
// functions for cells give boxes these two verbs under other names, which the
// boxes know.
const (
	typeVerb    = 'Ŧ'
	pointerVerb = 'Ꝑ'
)

// formatFunctions replace those of package fmt; Printf, which the interpreter
// keeps its own of, is the host's.
func formatFunctions(path string) map[string]reflect.Value {
	if path == "fmt" {
		return map[string]reflect.Value{
			"Sprintf": reflect.ValueOf(func(format string, a ...any) string { return fmt.Sprintf(boxVerbs(format, a), a...) }),
			"Errorf":  reflect.ValueOf(func(format string, a ...any) error { return fmt.Errorf(boxVerbs(format, a), a...) }),
			"Fprintf": reflect.ValueOf(func(w io.Writer, format string, a ...any) (int, error) {
				return fmt.Fprintf(w, boxVerbs(format, a), a...)
			}),
			"Appendf": reflect.ValueOf(func(b []byte, format string, a ...any) []byte { return fmt.Appendf(b, boxVerbs(format, a), a...) }),
		}
	}
	return nil
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
