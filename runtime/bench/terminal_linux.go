package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a new pseudo-terminal.
func openTerminal() (ours, theirs *os.File, err error) {
	if ours, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		ours.Close()
	}
	return ours, theirs, err
}

// untilPrompt starts a session in a terminal and waits for its prompt.
func untilPrompt(ctx context.Context, program string) (wall, cpu time.Duration, err error) {
	ours, theirs, err := openTerminal()
	if err != nil {
		return 0, 0, fmt.Errorf("bench: terminal: %w", err)
	}
	defer ours.Close()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	began := time.Now()
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return 0, 0, fmt.Errorf("bench: session: %w", err)
	}
	var seen []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(seen, []byte(">>> ")) {
		n, err := ours.Read(buf)
		if err != nil {
			cmd.Process.Kill()
			cmd.Wait()
			return 0, 0, fmt.Errorf("bench: session: no prompt, but %q: %w", seen, err)
		}
		seen = append(seen, buf[:n]...)
	}
	wall = time.Since(began)
	cmd.Process.Kill()
	cmd.Wait() // it was killed: nothing to report
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

func dropCache(f *os.File) error {
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
