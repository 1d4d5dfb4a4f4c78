package jupyter

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readSpec(t *testing.T, folder string) (argv []string, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "kernel.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Argv          []string
		DisplayName   string `json:"display_name"`
		InterruptMode string `json:"interrupt_mode"`
	}
	if err := json.Unmarshal(text, &spec); err != nil || spec.InterruptMode != "message" {
		t.Fatalf("%s: %v", text, err)
	}
	return spec.Argv, spec.DisplayName
}

func TestInstall(t *testing.T) {
	prefix := t.TempDir()
	folder, err := Install(SpecOptions{Prefix: prefix, Binary: "/opt/dpolab"})
	if err != nil || folder != filepath.Join(prefix, "share/jupyter/kernels/dpolab") {
		t.Fatal(folder, err)
	}
	argv, name := readSpec(t, folder)
	if strings.Join(argv, " ") != "/opt/dpolab kernel run {connection_file}" || name != "Go (dpolab)" {
		t.Error(argv, name)
	}
	for _, logo := range []string{"logo-32x32.png", "logo-64x64.png", "logo-svg.svg"} {
		if st, err := os.Stat(filepath.Join(folder, logo)); err != nil || st.Size() == 0 {
			t.Error(logo, err)
		}
	}
	// A program that will be gone is copied, and may be installed again.
	for range 2 {
		folder, err = Install(SpecOptions{Prefix: prefix, Name: "mine"}) // the test's own program is temporary
		if err != nil {
			t.Fatal(err)
		}
		argv, name = readSpec(t, folder)
		if filepath.Dir(argv[0]) != folder || name != "Go (mine)" {
			t.Error(argv, name)
		}
		if st, err := os.Stat(argv[0]); err != nil || st.Mode().Perm()&0o100 == 0 {
			t.Error(st, err)
		}
	}
	t.Setenv("JUPYTER_DATA_DIR", filepath.Join(prefix, "user"))
	if folder, err = Install(SpecOptions{Binary: "/opt/dpolab"}); err != nil || folder != filepath.Join(prefix, "user/kernels/dpolab") {
		t.Error(folder, err)
	}
	for _, bad := range []string{"a b", "../up", "x/y"} {
		if _, err := Install(SpecOptions{Prefix: prefix, Name: bad}); err == nil {
			t.Errorf("takes the name %q", bad)
		}
	}
}

func TestConnectionFile(t *testing.T) {
	good := map[string]any{"transport": "tcp", "ip": "127.0.0.1", "shell_port": 1, "control_port": 2, "iopub_port": 3, "stdin_port": 4, "hb_port": 5, "key": "k", "signature_scheme": "hmac-sha256"}
	write := func(change string, to any) string {
		values := map[string]any{}
		for k, v := range good {
			values[k] = v
		}
		values[change] = to
		text, _ := json.Marshal(values)
		file := filepath.Join(t.TempDir(), "c.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, c := range []struct {
		change string
		to     any
		want   string
	}{
		{"ip", "127.0.0.1", "tcp://127.0.0.1:1"}, {"ip", "", "tcp://127.0.0.1:1"}, {"ip", "::1", "tcp://[::1]:1"}, {"ip", "*", "tcp://:1"},
		{"ip", "10.0.0.7", "tcp://10.0.0.7:1"},
	} {
		connection, err := ReadConnection(write(c.change, c.to))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := connection.address(connection.ShellPort); got != c.want || err != nil {
			t.Errorf("%s=%v: %s %v, want %s", c.change, c.to, got, err, c.want)
		}
	}
	if a, err := (Connection{Transport: "ipc", IP: "/run/k"}).address(7); a != "ipc:///run/k-7" || err != nil {
		t.Error(a, err)
	}
	if _, err := (Connection{Transport: "udp"}).address(7); err == nil {
		t.Error("takes transport udp")
	}
	for _, port := range []any{0, -1, 70000, "x"} {
		if _, err := ReadConnection(write("hb_port", port)); err == nil {
			t.Errorf("takes port %v", port)
		}
	}
	if _, err := ReadConnection("nowhere.json"); err == nil {
		t.Error("reads a file that is not there")
	}
}

// values with a MIME method, by value, by address, and one that fails.
type byValue struct{}
type byAddress struct{ n int }
type failing struct{ p *int }

func (byValue) MIME() map[string]string { return map[string]string{"text/html": "<b>"} }
func (*byAddress) MIME() map[string]string {
	return map[string]string{"application/json": `{"a":1}`, plain: "own"}
}
func (f failing) MIME() map[string]string { return map[string]string{plain: string(rune(*f.p))} }

func TestBundles(t *testing.T) {
	for _, c := range []struct {
		values []any
		want   string
	}{
		{[]any{3}, `{"text/plain":"text"}`},
		{[]any{nil}, `{"text/plain":"text"}`},
		{[]any{byValue{}}, `{"text/html":"<b>","text/plain":"text"}`},
		{[]any{&byValue{}}, `{"text/html":"<b>","text/plain":"text"}`},
		{[]any{byAddress{}}, `{"application/json":{"a":1},"text/plain":"own"}`},
		{[]any{failing{}}, `{"text/plain":"text"}`},
		{[]any{(*byValue)(nil)}, `{"text/plain":"text"}`},
		{[]any{byValue{}, byValue{}}, `{"text/plain":"text"}`},
	} {
		got, err := encode(decode(bundleOf("text", c.values)))
		if string(got) != c.want || err != nil {
			t.Errorf("%T: %s %v, want %s", c.values[0], got, err, c.want)
		}
	}
}
