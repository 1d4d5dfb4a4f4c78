package jupyter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, file string) *history {
	t.Helper()
	h, err := openHistory(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

func inputs(entries []entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%d/%d %s", e.Session, e.Line, e.Input))
	}
	return strings.Join(out, ", ")
}

func TestHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "history.jsonl")
	first := open(t, file)
	first.add(1, "x := 1", "")
	first.add(2, "x / 2\nx", "0")
	second, third := open(t, file), open(t, file) // two kernels at the same time
	third.add(1, "third", "")
	second.add(1, "y := 2", "")
	second.add(2, "x := 1", "")
	for _, c := range []struct{ what, got, want string }{
		{"tail", inputs(second.tail(3)), "1/2 x / 2\nx, 2/1 y := 2, 2/2 x := 1"},
		{"tail of nothing", inputs(second.tail(0)) + inputs(second.tail(-1)), ""},
		{"long tail", inputs(second.tail(100)), "1/1 x := 1, 1/2 x / 2\nx, 2/1 y := 2, 2/2 x := 1"},
		{"this session", inputs(second.span(0, 1, 0)), "2/1 y := 2, 2/2 x := 1"},
		{"the one before", inputs(second.span(-1, 2, 3)), "1/2 x / 2\nx"},
		{"a session", inputs(second.span(1, 1, 2)), "1/1 x := 1"},
		{"no session", inputs(second.span(9, 0, 0)), ""},
		{"search", inputs(second.search("x*", 0, false)), "1/1 x := 1, 1/2 x / 2\nx, 2/2 x := 1"},
		{"unique", inputs(second.search("x := ?", 0, true)), "2/2 x := 1"},
		{"the last of", inputs(second.search("*", 1, false)), "2/2 x := 1"},
		{"slashes", inputs(second.search("*2*x", 0, false)), "1/2 x / 2\nx"},
		{"bad pattern", inputs(second.search("[", 0, false)), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	// A crash may cut the last line short; what follows must not be lost with it.
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"session":3,"li`)
	f.Close()
	open(t, file).add(1, "after", "")
	if got := inputs(open(t, file).span(-1, 0, 0)); got != "4/1 after" {
		t.Errorf("after a crash: %q", got)
	}
	if got := inputs(open(t, file).span(3, 0, 0)); got != "3/1 third" {
		t.Errorf("after a crash: %q", got)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("others can read the history: %v %v", st.Mode(), err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.jsonl")
	h := open(t, file)
	for i := range 2*maxHistory + 1 {
		h.add(i+1, "x", "")
	}
	h = open(t, file)
	if len(h.entries) != maxHistory || h.entries[0].Line != maxHistory+2 {
		t.Errorf("%d entries, from %d", len(h.entries), h.entries[0].Line)
	}
	if n := len(open(t, file).entries); n != maxHistory {
		t.Errorf("the shortened file has %d entries", n)
	}
}

func TestHistoryWithoutFile(t *testing.T) {
	h := open(t, "")
	h.add(1, "x", "")
	if got := inputs(h.tail(5)); got != "1/1 x" {
		t.Error(got)
	}
}
