// Package examples_test runs every example as a user does.
package examples_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// build compiles an example once.
func build(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", bin, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// dpolab is the program itself, which runs the same files interpreted.
var dpolab = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "examples")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "dpolab")
	return bin, exec.Command("go", "build", "-o", bin, "..").Run()
})

func TestMain(m *testing.M) {
	status := m.Run()
	if bin, err := dpolab(); err == nil {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(status)
}

// interpreted runs an example with dpolab run.
func interpreted(t *testing.T, name string, words ...string) (stdout, stderr string, status int) {
	t.Helper()
	bin, err := dpolab()
	if err != nil {
		t.Fatal(err)
	}
	return run(t, bin, append([]string{"run", filepath.Join(name, "main.go")}, words...)...)
}

func run(t *testing.T, bin string, words ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(bin, words...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestExamples compares what an example says. Numbers that depend on the
// machine's instructions are matched by their form.
func TestExamples(t *testing.T) {
	svg := filepath.Join(t.TempDir(), "sweep.svg")
	for name, c := range map[string]struct {
		words []string
		want  string
	}{
		"bf16-toggle": {[]string{"steps=2"}, `^LlamaForCausalLM: 1.67 million parameters, float32, FULL_SHARD over cpu:\d, param=float32 reduce=float32 buffer=float32
bfloat16 moves log-probabilities by at most 2: true
back in float32 they are the same to the bit: true
param=float32 reduce=float32 buffer=float32 +loss 0\.\d+  margin 0\.\d+
param=bfloat16 reduce=float32 buffer=float32 +loss 0\.\d+  margin \d\.\d+
param=float32 reduce=float32 buffer=float32 +loss 0\.\d+  margin \d\.\d+
true
$`},
		"custom-loss": {nil, `^hinge checked: true
wrong checked: false
steps: 8
first loss is delta: true
loss falls: true
metric recorded: 8 values
$`},
		"beta-sweep": {[]string{"steps=2", "curves=" + svg}, `^beta 0.05  loss 0\.6\d+  accuracy [01]\.\d\d  margin 0\.\d+  reference asked for 64 responses
beta 0.1   loss 0\.\d+  accuracy [01]\.\d\d  margin 0\.\d+  reference asked for 64 responses
beta 0.5   loss 0\.\d+  accuracy [01]\.\d\d  margin \d\.\d+  reference asked for 64 responses
loss/train  a beta 0.05 0.6931 → `},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := run(t, build(t, name), c.words...)
			if status != 0 || stderr != "" {
				t.Fatalf("status %d, stderr %q", status, stderr)
			}
			if !regexp.MustCompile(c.want).MatchString(stdout) {
				t.Errorf("says\n%s\nwant\n%s", stdout, c.want)
			}
			same, stderr, status := interpreted(t, name, c.words...)
			if status != 0 || stderr != "" || same != stdout {
				t.Errorf("interpreted: status %d, stderr %q, says\n%s\ncompiled\n%s", status, stderr, same, stdout)
			}
		})
	}
	if text, err := os.ReadFile(svg); err != nil || !strings.Contains(string(text), "beta 0.5") {
		t.Errorf("curves: %v, %d bytes", err, len(text))
	}
}

// TestBadWords: one line on stderr, status 1, nothing done.
func TestBadWords(t *testing.T) {
	bin := build(t, "beta-sweep")
	for _, c := range []struct{ word, want string }{
		{"curvs=x", "dpo.CheckSettings: want one of curves, devices, model.fsdp_policy_mp, steps, threads, got curvs\n"},
		{"steps=many", "dpo.IntSetting: want a whole number for steps, got \"many\"\n"},
		{"steps", "dpo.IntSetting: argument: want key=value, got \"steps\"\n"},
	} {
		if stdout, stderr, status := run(t, bin, c.word); stdout != "" || stderr != c.want || status != 1 {
			t.Errorf("%s: status %d, stdout %q, stderr %q, want %q", c.word, status, stdout, stderr, c.want)
		}
		if stdout, stderr, status := interpreted(t, "beta-sweep", c.word); stdout != "" || !strings.Contains(stderr, strings.TrimSpace(c.want)) || status != 1 {
			t.Errorf("%s, interpreted: status %d, stdout %q, stderr %q, want %q", c.word, status, stdout, stderr, c.want)
		}
	}
}

// TestCtrlC: an experiment ends with the reason and with the status that a
// shell expects, compiled and interpreted.
func TestCtrlC(t *testing.T) {
	interpreter, err := dpolab()
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"steps=1000000", "n_epochs=1000000"}
	for name, cmd := range map[string]*exec.Cmd{
		"compiled":    exec.Command(build(t, "bf16-toggle"), words...),
		"interpreted": exec.Command(interpreter, append([]string{"run", "bf16-toggle/main.go"}, words...)...),
	} {
		var errs strings.Builder
		cmd.Stderr = &errs
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "back in float32") { // the last line before training
		}
		time.Sleep(500 * time.Millisecond)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		for lines.Scan() {
		}
		cmd.Wait()
		t.Logf("%s: ended %v after the interrupt", name, time.Since(at))
		want := map[string]string{"compiled": "dpo.Trainer.Steps: interrupted; nothing is lost, the same call goes on\n", "interpreted": "main.go:41:3: interrupted\n"}[name]
		if status := cmd.ProcessState.ExitCode(); status != 130 || errs.String() != want {
			t.Errorf("%s: status %d, stderr %q, want %q", name, status, errs.String(), want)
		}
	}
}
