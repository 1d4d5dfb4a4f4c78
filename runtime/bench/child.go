package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// child is one side's process. It runs only while it is asked something:
// between requests it is stopped, so that what an idle side does (OpenMP's
// threads spin, collectors collect) takes nothing from the one that measures.
type child struct {
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr tail
}

// tail keeps the last lines that a child wrote to stderr, for errors.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if t.Len() > 1<<16 {
		t.Next(t.Len() - 1<<12)
	}
	return t.Buffer.Write(p)
}

// last is the last line that says something.
func (t *tail) last() string {
	lines := strings.Split(strings.TrimSpace(t.String()), "\n")
	return lines[len(lines)-1]
}

// startChild runs argv with extra environment variables.
func startChild(ctx context.Context, name string, argv, env []string) (*child, error) {
	c := &child{name: name, cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = &c.stderr
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("bench: %s: %w", name, err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w", name, err)
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: %s: %w", name, err)
	}
	return c, nil
}

// ask sends a request and waits for the reply.
func (c *child) ask(req request) (reply, error) {
	line, err := json.Marshal(req)
	if err != nil {
		return reply{}, fmt.Errorf("bench: %w", err)
	}
	var answer []byte
	if err = c.signal(syscall.SIGCONT); err == nil {
		_, err = c.in.Write(append(line, '\n'))
	}
	if err == nil {
		answer, err = c.out.ReadBytes('\n')
	}
	if err == nil {
		err = c.signal(syscall.SIGSTOP)
	}
	if err != nil {
		return reply{}, fmt.Errorf("bench: %s: %s: the process ended: %w: %s", c.name, req.Op, err, c.stderr.last())
	}
	var r reply
	if err := json.Unmarshal(answer, &r); err != nil {
		return reply{}, fmt.Errorf("bench: %s: %s: reply %q: %w", c.name, req.Op, answer, err)
	}
	if r.Error != "" {
		return reply{}, fmt.Errorf("bench: %s: %s: %s", c.name, req.Op, r.Error)
	}
	return r, nil
}

func (c *child) signal(s syscall.Signal) error { return c.cmd.Process.Signal(s) }

// stop ends the child by ending its input, which lets it close its files.
func (c *child) stop() error {
	_ = c.signal(syscall.SIGCONT) // a child that has ended needs none
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("bench: %s: %w: %s", c.name, err, c.stderr.last())
	}
	return nil
}
