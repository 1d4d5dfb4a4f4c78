package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrAttached is returned for a session that a process holds already.
var ErrAttached = errors.New("attached already")

const lockFile = "lock"

// patience is how long a process that is just ending, or one that lists the
// sessions, is waited for.
const patience = 200 * time.Millisecond

// lock takes the directory for this process until the file is closed. The
// system gives the lock back when the process ends, however it does.
func lock(dir string) (*os.File, error) {
	path, start := filepath.Join(dir, lockFile), time.Now()
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			who := holder(f)
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				if time.Since(start) < patience {
					time.Sleep(patience / 20)
					continue
				}
				return nil, fmt.Errorf("%w by %s", ErrAttached, who)
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// Somebody may have removed the directory between the two calls: then
		// this lock is on a file that nobody else can open.
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if there, err := os.Stat(path); err != nil || !os.SameFile(mine, there) {
			f.Close()
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, err
			}
			continue
		}
		text := fmt.Sprintf("process %d (%s) since %s\n", os.Getpid(), filepath.Base(os.Args[0]), time.Now().Format("2006-01-02 15:04:05"))
		if err := f.Truncate(0); err != nil {
			f.Close()
			return nil, err
		}
		if _, err := f.WriteAt([]byte(text), 0); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
}

// holder is what the one who has the lock wrote about itself.
func holder(f *os.File) string {
	text := make([]byte, 256)
	n, _ := f.ReadAt(text, 0)
	if who := strings.TrimSpace(string(text[:n])); who != "" {
		if strings.HasPrefix(who, fmt.Sprintf("process %d ", os.Getpid())) {
			return "this process"
		}
		return who
	}
	return "another process"
}

// locked reports whether a process holds the session in dir, without taking it.
func locked(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		return true
	}
	return false
}
