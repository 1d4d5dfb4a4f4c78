package display

import (
	"io"
	"os"
	"strings"
	"testing"
)

// drawn is what fn writes to a terminal.
func drawn(t *testing.T, tall bool, fn func(b *block)) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = write
	fn(&block{isTerminal: func(*os.File) bool { return true }, tall: tall})
	os.Stderr = stderr
	write.Close()
	said, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(said), "\x1b", "^")
}

// TestBlock: what changes is drawn over in place, and prints stand above it.
func TestBlock(t *testing.T) {
	say := func(b *block, text string) { b.write(os.Stderr, []byte(text)) }
	for name, c := range map[string]struct {
		tall bool
		fn   func(b *block)
		want string
	}{
		"in place": {true, func(b *block) { b.update("a", "1\nx"); b.update("a", "2\ny"); b.settle("a"); say(b, "end\n") },
			"1\nx\n^[2A\r^[J2\ny\nend\n"},
		"print": {true, func(b *block) { b.update("a", "1"); say(b, "step\n"); b.update("a", "2") },
			"1\n^[1A\r^[Jstep\n1\n^[1A\r^[J2\n"},
		"within a line": {true, func(b *block) { b.update("a", "1"); say(b, "ste"); b.update("a", "2"); say(b, "p\n") },
			"1\n^[1A\r^[Jstep\n2\n"},
		"another display": {true, func(b *block) { b.update("a", "1"); b.update("b", "2"); b.settle("a"); b.update("b", "3") },
			"1\n2\n^[1A\r^[J3\n"},
		"one line": {false, func(b *block) { b.update("a", "1\nx"); b.update("a", "2\ny"); b.settle("a"); say(b, "end\n") },
			"1\r^[J2\nend\n"},
		"one line, print": {false, func(b *block) { b.update("a", "1"); say(b, "step\n"); b.update("a", "2"); b.settle("a") },
			"1\r^[Jstep\n1\r^[J2\n"},
		"too wide": {true, func(b *block) { b.update("a", strings.Repeat("é", 100)) },
			strings.Repeat("é", 78) + "…\n"},
	} {
		if got := drawn(t, c.tall, c.fn); got != c.want {
			t.Errorf("%s: draws %q, want %q", name, got, c.want)
		}
	}
}

func TestReadLine(t *testing.T) {
	in := strings.NewReader("one\r\ntwo\n\nlast")
	for _, want := range []string{"one", "two", "", "last"} {
		if got, err := readLine(in); got != want || err != nil {
			t.Errorf("line %q, %v, want %q", got, err, want)
		}
	}
	if _, err := readLine(in); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}
