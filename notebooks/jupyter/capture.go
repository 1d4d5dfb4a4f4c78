package jupyter

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// capture takes what the process writes to a file descriptor: compiled
// packages, C code and child processes know nothing of a session's writers.
type capture struct {
	fd      int
	saved   *os.File // where it went before
	reader  *os.File
	deliver func(text []byte)

	mu  sync.Mutex // held while what was read is delivered, to keep the order
	buf []byte
}

func newCapture(fd int, deliver func(text []byte)) (*capture, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	defer unix.Close(pipe[1])
	saved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		// Only the reader's end: programs expect writing to wait.
		err = unix.SetNonblock(pipe[0], true)
	}
	if err == nil {
		err = unix.Dup3(pipe[1], fd, 0)
	}
	if err != nil {
		unix.Close(pipe[0])
		return nil, err
	}
	c := &capture{
		fd: fd, saved: os.NewFile(uintptr(saved), "saved"), reader: os.NewFile(uintptr(pipe[0]), "captured"),
		deliver: deliver, buf: make([]byte, 64<<10),
	}
	go c.follow()
	return c, nil
}

// follow delivers what is written until the descriptor is given back.
func (c *capture) follow() {
	conn, err := c.reader.SyscallConn()
	if err != nil {
		return
	}
	for err == nil {
		ended := false
		err = conn.Read(func(fd uintptr) bool {
			n := c.take(int(fd))
			ended = n == 0
			return n >= 0
		})
		if ended {
			return
		}
	}
}

// take delivers one piece of what is in the pipe. It returns its size, 0 at the
// end, or -1 if there is nothing.
func (c *capture) take(fd int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		n, err := syscall.Read(fd, c.buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return -1
		case err != nil || n <= 0:
			return 0
		}
		c.deliver(c.buf[:n])
		return n
	}
}

// drain delivers all that has been written so far.
func (c *capture) drain() {
	conn, err := c.reader.SyscallConn()
	if err != nil {
		return
	}
	conn.Control(func(fd uintptr) {
		for c.take(int(fd)) > 0 {
		}
	})
}

// release gives the descriptor back to what it was.
func (c *capture) release() {
	c.drain()
	if err := unix.Dup3(int(c.saved.Fd()), c.fd, 0); err != nil && !errors.Is(err, unix.EBADF) {
		fmt.Fprintln(c.saved, "jupyter:", err)
	}
	c.reader.Close()
}

// capture takes over standard output and error, and keeps the old standard
// error for the log and for the last words of a crash.
func (k *Kernel) capture() error {
	for _, s := range []struct {
		fd   int
		name string
	}{{1, stdout}, {2, stderr}} {
		// Which goroutine wrote is not known here.
		c, err := newCapture(s.fd, func(text []byte) { k.streams.write(k.current.Load(), s.name, text) })
		if err != nil {
			k.release()
			return fmt.Errorf("jupyter: %s: %w", s.name, err)
		}
		k.captured = append(k.captured, c)
	}
	to := k.options.Log
	if to == nil {
		to = k.captured[1].saved
	}
	k.log = log.New(io.Writer(to), "dpolab kernel: ", log.LstdFlags)
	if err := debug.SetCrashOutput(k.captured[1].saved, debug.CrashOptions{}); err != nil {
		k.log.Printf("crashes will not be logged: %v", err)
	}
	return nil
}

func (k *Kernel) drain() {
	for _, c := range k.captured {
		c.drain()
	}
}

func (k *Kernel) release() {
	for _, c := range k.captured {
		c.release()
	}
}
