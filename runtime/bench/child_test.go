package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestChildIsStopped: a side runs while it is asked something, and at no other
// time.
func TestChildIsStopped(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("process states are read from /proc")
	}
	// Answers each line.
	c, err := startChild(context.Background(), "echo", []string{"sh", "-c", `while read line; do echo '{"loss": 2}'; done`}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r, err := c.ask(request{Op: "step"}); err != nil || r.Loss != 2 {
			t.Fatalf("reply %v, error %v", r, err)
		}
		state := ""
		for range 1000 { // the signal is on its way
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			if state = strings.Fields(string(text))[2]; state == "T" {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if state != "T" {
			t.Errorf("state %q between requests, want T, stopped", state)
		}
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}
