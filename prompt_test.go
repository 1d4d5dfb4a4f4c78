package main

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// asProgram in the environment makes the test's own binary be dpolab.
const asProgram = "DPOLAB_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A screen is dpolab in a terminal, and the person before it.
type screen struct {
	t        *testing.T
	terminal *os.File
	program  *exec.Cmd
	ended    chan struct{} // closed once the terminal says no more

	mu    sync.Mutex
	shown string // without escapes and carriage returns
	seen  int    // how much of it was waited for
}

// patience bounds how long the program may take to show what it must.
const patience = 60 * time.Second

// open starts dpolab in a terminal. state is where its history is kept.
func open(t *testing.T, state string, words ...string) *screen {
	t.Helper()
	if _, err := os.Stat("/dev/ptmx"); err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	s := &screen{t: t, program: exec.Command(os.Args[0], words...), ended: make(chan struct{})}
	s.program.Env = append(os.Environ(), asProgram+"=1", "TERM=xterm-256color", "XDG_STATE_HOME="+state)
	s.program.Dir = state
	var err error
	if s.terminal, err = pty.StartWithSize(s.program, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	go s.watch()
	t.Cleanup(func() {
		s.program.Process.Kill()
		<-s.ended
		s.terminal.Close()
	})
	return s
}

// escapes are a terminal's instructions about colours and the cursor.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|[\r\a]")

// watch collects what is shown until the program ends. An escape that a read
// cuts in two stays behind until it is whole.
func (s *screen) watch() {
	defer close(s.ended)
	var rest string
	for buf := make([]byte, 4096); ; {
		n, err := s.terminal.Read(buf)
		text := rest + string(buf[:n])
		rest = ""
		if i := strings.LastIndexByte(text, '\x1b'); i >= 0 && err == nil && !escapes.MatchString(text[i:]) {
			text, rest = text[:i], text[i:]
		}
		s.mu.Lock()
		s.shown += escapes.ReplaceAllString(text, "")
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *screen) types(keys string) {
	s.t.Helper()
	if _, err := s.terminal.WriteString(keys); err != nil {
		s.t.Fatalf("typing %q: %v", keys, err)
	}
}

// shows waits for text behind what was waited for before.
func (s *screen) shows(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		rest := s.shown[s.seen:]
		i := strings.Index(rest, text)
		if i >= 0 {
			s.seen += i + len(text)
		}
		s.mu.Unlock()
		if i >= 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited for %q, shown is\n%s", text, rest)
		}
	}
}

// answers types an entry and waits for its answer and the next prompt.
func (s *screen) answers(entry, answer string) {
	s.t.Helper()
	s.types(entry + "\r")
	s.shows("\n" + answer + ">>> ")
}

// leaves waits for the program's end.
func (s *screen) leaves(status int) {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatal("the program does not end")
	}
	err := s.program.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if got := s.program.ProcessState.ExitCode(); got != status {
		s.t.Errorf("status %d, want %d", got, status)
	}
}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	up    = "\x1b[A"
)

func paste(text string) string { return "\x1b[200~" + text + "\x1b[201~" }

func TestPrompt(t *testing.T) {
	s := open(t, t.TempDir())
	s.shows("%help for help")
	s.answers("six := 6", "")
	s.answers("six * 7", "42\n")
	s.answers("six * seven", "cell 3:1:7: undefined: seven\n")
	s.answers("strings.HasPre\t(\"dpo\", \"d\")", "true\n")
	s.answers(paste("func double(n int) int {\n\tif n == 0 {\n\t\treturn 0\n\t}\n\n\treturn 2 * n\n}"), "")
	s.answers("for i := range 2 {\rfmt.Println(double(i))\r}", "0\n2\n")
	s.answers("double?", "func double(n int) int\n// defined in cell 5\n")
	s.types("%wh\t\r")
	s.shows("double  func  func(n int) int     cell 5\n")
	s.types("half of a line" + ctrlC)
	s.shows("^C\n")
	s.answers("six", "6\n")
	s.types(ctrlD)
	s.leaves(0)
}

// TestPromptRemembers: the history outlives the session, and %save's file runs.
func TestPromptRemembers(t *testing.T) {
	state := t.TempDir()
	s := open(t, state)
	s.answers(paste("for i := range 3 {\n\tfmt.Println(i * i)\n}"), "0\n1\n4\n")
	s.answers("%save squares.go", "")
	s.types("%quit\r")
	s.leaves(0)

	s = open(t, state)
	s.types(up + up + up)
	s.answers("", "0\n1\n4\n")
	s.answers("%run squares.go", "0\n1\n4\n")
	s.types("os.Exit(3)\r")
	s.leaves(3)

	s = open(t, state, "run", "squares.go")
	s.shows("0\n1\n4\n")
	s.leaves(0)
}

// TestPromptInterrupts: Ctrl-C stops a loop, and a training run between two
// steps; what was there before is there after, and goes on in bfloat16.
func TestPromptInterrupts(t *testing.T) {
	s := open(t, t.TempDir())
	s.answers("n := 0", "")
	s.types("fmt.Println(\"begun\"); for { n++ }\r")
	s.shows("\nbegun\n")
	s.types(ctrlC)
	s.shows("cell 2:1:")
	s.shows("interrupted\n>>> ")
	s.answers("n > 0", "true\n")

	s.answers(paste(`import "dpolab/stdlib/dpo"
demo := dpo.Demo()
policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
cfg := dpo.DefaultTrainConfig()
cfg.BatchSize, cfg.Optimizer, cfg.LR, cfg.WarmupSteps = 8, "AdamW", 1e-4, 0
tr := dpo.NewTrainer(policy, nil, demo.Train, nil, cfg)`), "")
	s.types("tr.Steps(1000000)\r")
	s.shows("loss")
	s.types(ctrlC)
	s.shows("interrupted\n>>> ")
	s.answers("at := tr.History().Len(); at > 0", "true\n")
	s.types("tr.SetMixedPrecision(dpo.BFloat16Mixed()); tr.Steps(1)\r")
	s.shows("}\n>>> ") // of the step's metrics
	s.answers("tr.History().Len() - at", "1\n")
}
