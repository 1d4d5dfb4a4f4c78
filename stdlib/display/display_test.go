package display_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"dpolab/stdlib/display"
)

// recorder is a host that remembers.
type recorder struct {
	shown   []map[string]string
	updates map[string][]map[string]string
	settled []string
	cleared []bool
}

func (r *recorder) host(t *testing.T) {
	r.updates = map[string][]map[string]string{}
	display.SetBackend(display.Backend{
		Show:   func(b map[string]string) { r.shown = append(r.shown, b) },
		Update: func(id string, b map[string]string) { r.updates[id] = append(r.updates[id], b) },
		Settle: func(id string) { r.settled = append(r.settled, id) },
		Clear:  func(wait bool) { r.cleared = append(r.cleared, wait) },
		Input: func(prompt string, password bool) (string, error) {
			if password {
				return "", io.ErrUnexpectedEOF
			}
			return prompt + "yes", nil
		},
	})
	t.Cleanup(func() { display.SetBackend(display.Backend{}) })
}

type verdict struct{ html string }

func (v *verdict) MIME() map[string]string { return map[string]string{"text/html": v.html} }
func (v *verdict) String() string          { return "a verdict" }

// TestForms: every call gives its form and text beside it.
func TestForms(t *testing.T) {
	var r recorder
	r.host(t)
	bundle := map[string]string{"text/html": "<p>one &amp;<br>two</p><table><tr><td>3</td><td>4</td></tr></table>"}
	display.Text("a")
	display.HTML("<b>b</b> &lt;c")
	display.Markdown("*d*")
	display.SVG("<svg/>")
	display.PNG([]byte{1, 2, 3})
	display.Value(&verdict{"<i>e</i>"})
	display.Value((*verdict)(nil))
	display.Value(7)
	display.Show(bundle)
	display.Show(map[string]string{"application/json": "{}"})
	for i, want := range []struct{ mime, content, text string }{
		{"text/plain", "a", "a"},
		{"text/html", "<b>b</b> &lt;c", "b <c"},
		{"text/markdown", "*d*", "*d*"},
		{"image/svg+xml", "<svg/>", "[SVG, 6 bytes]"},
		{"image/png", "AQID", "[PNG, 3 bytes]"},
		{"text/html", "<i>e</i>", "a verdict"},
		{"text/plain", "<nil>", "<nil>"},
		{"text/plain", "7", "7"},
		{"text/html", bundle["text/html"], "one &\ntwo\n3  4"},
		{"application/json", "{}", "[a display of 1 forms, none of them text]"},
	} {
		if i >= len(r.shown) {
			t.Fatalf("%d shown", len(r.shown))
		}
		got := r.shown[i]
		if want.text == "<nil>" { // a nil pointer is shown by its own String
			want.content, want.text = got["text/plain"], got["text/plain"]
		}
		if got[want.mime] != want.content || got["text/plain"] != want.text {
			t.Errorf("%d: %q, want %s %q and text %q", i, got, want.mime, want.content, want.text)
		}
	}
	if len(bundle) != 1 {
		t.Error("Show changed the caller's bundle")
	}
}

func TestHost(t *testing.T) {
	var r recorder
	r.host(t)
	a, b := display.NewID(), display.NewID()
	if a == b || !display.Rich() || !display.Live() {
		t.Errorf("ids %q, %q, rich %t", a, b, display.Rich())
	}
	display.Update(a, display.OfText("1"))
	display.Update(a, display.OfText("2"))
	display.Update(b, display.OfHTML("<p>x</p>"))
	display.Settle(a)
	display.Clear(true)
	if len(r.updates[a]) != 2 || r.updates[a][1]["text/plain"] != "2" || r.updates[b][0]["text/plain"] != "x" {
		t.Errorf("updates %v", r.updates)
	}
	if len(r.settled) != 1 || r.settled[0] != a || len(r.cleared) != 1 || !r.cleared[0] {
		t.Errorf("settled %v, cleared %v", r.settled, r.cleared)
	}
	if got := display.Input("sure? "); got != "sure? yes" {
		t.Errorf("input %q", got)
	}
	for want, fn := range map[string]func(){
		"display.Password: unexpected EOF":                             func() { display.Password("") },
		`display.Update: want an id, such as NewID gives, got ""`:      func() { display.Update("", nil) },
		"display.Table.Row: want 2 cells, one for each of a, b, got 1": func() { display.NewTable("a", "b").Row("1") },
	} {
		if got := raised(fn); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	display.SetBackend(display.Backend{Show: func(map[string]string) {}})
	display.Update(a, display.OfText("nobody listens"))
	if got := raised(func() { display.Input("") }); got != "display.Input: want a host that can ask, got one that cannot" {
		t.Errorf("%q", got)
	}
}

func raised(fn func()) (text string) {
	defer func() {
		var e *display.Error
		if err, ok := recover().(error); ok && errors.As(err, &e) {
			text = e.Error()
		}
	}()
	fn()
	return ""
}

func TestTable(t *testing.T) {
	table := display.NewTable("precision", "loss", "speed").Row("float32", "0.5", "12.5 ms").Row("bfloat16 <fast>", "−0.25", "–")
	table.Title = "what it costs"
	want := `what it costs
precision         loss    speed
───────────────  ─────  ───────
float32            0.5  12.5 ms
bfloat16 <fast>  −0.25        –`
	if got := table.String(); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	html := table.HTML()
	for _, part := range []string{"bfloat16 &lt;fast&gt;", `<td align="right" style="text-align:right">−0.25</td>`, `<td align="left" style="text-align:left">float32</td>`, ">what it costs</caption>"} {
		if !strings.Contains(html, part) {
			t.Errorf("%s lacks %s", html, part)
		}
	}
}

// TestTerminal: in a program whose output is piped, text goes to standard
// output and what changes goes nowhere.
func TestTerminal(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = write, write
	display.HTML("<p>kept</p>")
	display.Update(display.NewID(), display.OfText("gone"))
	os.Stdout, os.Stderr = stdout, stderr
	write.Close()
	said, _ := io.ReadAll(read)
	if string(said) != "kept\n" || display.Rich() {
		t.Errorf("says %q, rich %t", said, display.Rich())
	}
}
