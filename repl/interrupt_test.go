package repl

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"dpolab/stdlib/dpo"
)

// TestInterrupt stops cells wherever they may be, and asks afterwards what the
// interrupt could have cost: variables, closures, goroutines.
func TestInterrupt(t *testing.T) {
	for _, c := range []struct{ name, cell string }{
		{"empty loop", "for {}"},
		{"counting loop", "for { n++ }"},
		{"labelled loop", "again: for { for { continue again } }"},
		{"goto", "func() {\nagain:\n\tn++\n\tif n > 0 {\n\t\tgoto again\n\t}\n}()"},
		{"loop in a function", "func spin(k int) int { for { k++ }; return k }\nspin(1)"},
		{"recursion", "func deep(k int) int { if k == 0 { return 0 }; return deep(k-1) }\nfor { deep(50) }"},
		{"loop in a closure", "func() { for { n++ } }()"},
		{"range over an integer", "for range 1 << 60 { n++ }"},
		{"range over a function", "for range func(yield func(int) bool) { for yield(1) {} } {}"},
		{"sleep", "time.Sleep(time.Hour)"},
		{"receive", "<-make(chan int)"},
		{"receive twice", "v, ok := <-make(chan int)"},
		{"receive from nil", "var never chan int\n<-never"},
		{"send", "make(chan int) <- 1"},
		{"range over a channel", "for range make(chan int) {}"},
		{"empty select", "select {}"},
		{"select", "select {\ncase <-make(chan int):\ncase <-make(chan string):\n}"},
		{"deferred loop", "func() { defer func() { for {} }(); panic(1) }()"},
		{"recovered", "for { func() { defer func() { recover() }(); for {} }() }"},
		{"compiled calls", "for { strings.Repeat(\"x\", 1000) }"},
		{"callback", "slices.SortFunc(make([]int, 10), func(a, b int) int { for {} })"},
		{"sort in compiled code", "sort.Slice(make([]int, 10), func(a, b int) bool { for {} })"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, out := interruptible(t)
			began := time.Now()
			stopped := stopAfter(s, 60*time.Millisecond)
			err := s.Run("cell 2", c.cell)
			if took := time.Since(*stopped()); took > 5*time.Second { // not a timing: a hang
				t.Errorf("ended %v after the interrupt", took)
			}
			if !IsInterrupt(err) {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			alive(t, s, out)
		})
	}
}

// interruptible is a session with things that an interrupt must not touch.
func interruptible(t *testing.T) (*Session, *safeBuffer) {
	t.Helper()
	out := &safeBuffer{}
	s, err := NewSession(Options{Stdout: out, Stderr: out, Context: dpo.SetContext})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run("cell 1", `
n := 0
base := 10
add := func(i int) int { return base + i }
type counter struct{ hits int }
func (c *counter) hit() int { c.hits++; return c.hits }
c := &counter{}
ask, answer := make(chan int), make(chan int)
go func() {
	for q := range ask {
		answer <- q * 2
	}
}()
`); err != nil {
		t.Fatal(err)
	}
	return s, out
}

func alive(t *testing.T, s *Session, out *safeBuffer) {
	t.Helper()
	out.take()
	if err := s.Run("cell 3", "ask <- 21\nfmt.Println(add(5), c.hit(), <-answer)\nbase = 20\nfmt.Println(add(1), c.hit())"); err != nil {
		t.Error(err)
	}
	if got, want := out.take(), "15 1 42\n21 2\n"; got != want {
		t.Errorf("after the interrupt: %q, want %q", got, want)
	}
}

// stopAfter interrupts a session; the function it returns waits for that and
// tells when it was.
func stopAfter(s *Session, d time.Duration) func() *time.Time {
	var at time.Time
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(d)
		for tries := 0; !s.Interrupt() && tries < 5000; tries++ { // the cell is still being checked
			time.Sleep(time.Millisecond)
		}
		at = time.Now()
	}()
	return func() *time.Time { <-done; return &at }
}

// TestInterruptCleansUp: deferred calls of an interrupted cell run.
func TestInterruptCleansUp(t *testing.T) {
	s, out := interruptible(t)
	stopAfter(s, 50*time.Millisecond)
	err := s.Run("cell 2", `
func() {
	defer fmt.Println("last")
	defer func() {
		for i := range 3 {
			fmt.Print(i, " ")
		}
	}()
	for {}
}()`)
	if !IsInterrupt(err) {
		t.Error(err)
	}
	if got := out.take(); got != "0 1 2 last\n" {
		t.Errorf("deferred: %q", got)
	}
	alive(t, s, out)
}

// TestSecondInterrupt leaves behind what cannot stop.
func TestSecondInterrupt(t *testing.T) {
	s, out := interruptible(t)
	go func() {
		time.Sleep(50 * time.Millisecond)
		for !s.Interrupt() {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond)
		s.Interrupt()
	}()
	err := s.Run("cell 2", "var mu sync.Mutex\nmu.Lock()\nmu.Lock()")
	if !IsInterrupt(err) || !strings.Contains(err.Error(), "leaving behind") {
		t.Error(err)
	}
	alive(t, s, out)
}

// TestInterruptTraining stops between two steps and goes on.
func TestInterruptTraining(t *testing.T) {
	s, out := interruptible(t)
	if err := s.Run("cell", `
import "dpolab/stdlib/dpo"
demo := dpo.Demo()
policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
cfg := dpo.DefaultTrainConfig()
cfg.Loss, cfg.Optimizer, cfg.LR, cfg.WarmupSteps, cfg.Epochs = dpo.DPO(0.1), "AdamW", 1e-4, 0, 1000
tr := dpo.NewTrainer(policy, nil, demo.Train, demo.Test, cfg)
dpo.ShowProgress(false)`); err != nil {
		t.Fatal(err)
	}
	stopAfter(s, 300*time.Millisecond)
	if err := s.Run("cell", "tr.Steps(1000000)"); !IsInterrupt(err) {
		t.Error(err)
	}
	if err := s.Run("cell", "tr.Steps(1);"); err != nil {
		t.Error(err)
	}
	alive(t, s, out)
	if err := s.Run("cell", "dpo.Reset()"); err != nil {
		t.Error(err)
	}
}

// TestStackOverflow: recursion without end is a cell's failure.
func TestStackOverflow(t *testing.T) {
	s, out := interruptible(t)
	err := s.Run("cell 2", "func endless(k int) int { return endless(k+1) + 1 }\nendless(0)")
	if err == nil || !strings.Contains(err.Error(), "stack overflow") {
		t.Error(err)
	}
	alive(t, s, out)
}

// safeBuffer collects what goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// take returns what was written since the last time.
func (b *safeBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.b.String()
	b.b.Reset()
	return text
}
