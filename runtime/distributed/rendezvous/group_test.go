package rendezvous

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary one process of a job when it is started as
// such, which is how jobs of real processes are tested.
func TestMain(m *testing.M) {
	interval, silence = 100*time.Millisecond, time.Second
	if os.Getenv("RENDEZVOUS_TEST") != "" {
		if err := process(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process meets the others, exchanges, and then waits for a failure if asked to.
func process() error {
	place, ok, err := FromEnvironment(os.Getenv)
	if err != nil || !ok {
		return fmt.Errorf("no job: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	g, err := Join(ctx, place)
	if err != nil {
		return err
	}
	defer g.Close()
	id, err := g.Broadcast("id", []byte(fmt.Sprintf("id of rank %d", place.Rank)))
	if err != nil {
		return err
	}
	all, err := g.AllGather("names", []byte{byte('a' + place.Rank)})
	if err != nil {
		return err
	}
	fmt.Printf("rank %d of %d: %s, %s\n", place.Rank, place.World, id, bytes.Join(all, nil))
	if os.Getenv("RENDEZVOUS_TEST") == "wait" {
		select {
		case <-g.Failed():
			return g.Err()
		case <-ctx.Done():
			return errors.New("nothing failed")
		}
	}
	return g.Barrier("end")
}

func freeAddress(t *testing.T) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ = net.SplitHostPort(l.Addr().String())
	return host, port
}

type running struct {
	*exec.Cmd
	out bytes.Buffer
}

// job starts n processes as torchrun would.
func job(t *testing.T, n int, what string) []*running {
	t.Helper()
	host, port := freeAddress(t)
	var all []*running
	for rank := range n {
		c := &running{Cmd: exec.Command(os.Args[0])}
		c.Env = append(os.Environ(), "RENDEZVOUS_TEST="+what, fmt.Sprintf("RANK=%d", rank), fmt.Sprintf("WORLD_SIZE=%d", n),
			"MASTER_ADDR="+host, "MASTER_PORT="+port, "TORCHELASTIC_RUN_ID="+t.Name())
		c.Stdout, c.Stderr = &c.out, &c.out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Process.Kill(); c.Wait() })
		all = append(all, c)
	}
	return all
}

func TestProcesses(t *testing.T) {
	for rank, c := range job(t, 4, "once") {
		if err := c.Wait(); err != nil {
			t.Errorf("rank %d: %v: %s", rank, err, c.out.String())
		}
		if want := fmt.Sprintf("rank %d of 4: id of rank 0, abcd\n", rank); c.out.String() != want {
			t.Errorf("rank %d printed %q, want %q", rank, c.out.String(), want)
		}
	}
}

// TestDeath kills or stops one process; the others name it within seconds.
func TestDeath(t *testing.T) {
	for name, c := range map[string]struct {
		rank   int
		signal syscall.Signal
	}{"killed": {1, syscall.SIGKILL}, "stopped": {2, syscall.SIGSTOP}, "rank 0 killed": {0, syscall.SIGKILL}, "rank 0 stopped": {0, syscall.SIGSTOP}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := job(t, 3, "wait")
			time.Sleep(700 * time.Millisecond) // they have met
			all[c.rank].Process.Signal(c.signal)
			for rank, p := range all {
				if rank == c.rank {
					continue
				}
				p.Wait()
				if want := fmt.Sprintf("rendezvous: rank %d: rank %d left: ", rank, c.rank); !strings.Contains(p.out.String(), want) {
					t.Errorf("rank %d printed %q, want %q", rank, p.out.String(), want)
				}
			}
		})
	}
}

// threads is a job of goroutines.
func threads(t *testing.T, n int, fn func(g *Group) error) []error {
	t.Helper()
	host, port := freeAddress(t)
	errs := make([]error, n)
	var wait sync.WaitGroup
	for rank := range n {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			g, err := Join(ctx, Place{Rank: rank, World: n, Address: host + ":" + port, Job: t.Name()})
			if err == nil {
				err = fn(g)
				defer g.Close()
			}
			errs[rank] = err
		})
	}
	wait.Wait()
	return errs
}

func TestFail(t *testing.T) {
	for _, from := range []int{0, 1} {
		errs := threads(t, 3, func(g *Group) error {
			if g.Place().Rank == from {
				g.Fail(errors.New("no memory"))
			}
			<-g.Failed()
			if err := g.Barrier("after"); err == nil {
				return errors.New("a barrier after a failure")
			}
			return g.Err()
		})
		for rank, err := range errs {
			if want := fmt.Sprintf("rendezvous: rank %d: rank %d failed: no memory", rank, from); err == nil || err.Error() != want {
				t.Errorf("rank %d: %v, want %s", rank, err, want)
			}
		}
	}
}

func TestMismatch(t *testing.T) {
	for rank, err := range threads(t, 3, func(g *Group) error {
		return g.Barrier([]string{"save", "save", "load"}[g.Place().Rank])
	}) {
		if want := `rank 2 is at "load", rank 0 at "save"`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rank %d: %v, want %s", rank, err, want)
		}
	}
}

// TestOrder makes many calls in a row: a quick rank's next part must not be
// taken for the present call's.
func TestOrder(t *testing.T) {
	for rank, err := range threads(t, 4, func(g *Group) error {
		for i := range 200 {
			all, err := g.AllGather(fmt.Sprint("call ", i), fmt.Append(nil, i*10+g.Place().Rank))
			if err != nil {
				return err
			}
			for r, data := range all {
				if string(data) != fmt.Sprint(i*10+r) {
					return fmt.Errorf("call %d, rank %d: %s", i, r, data)
				}
			}
		}
		return g.Barrier("end")
	}) {
		if err != nil {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
}

func TestJoinErrors(t *testing.T) {
	join := func(p Place, limit time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		g, err := Join(ctx, p)
		if g != nil {
			g.Close()
		}
		return err
	}
	host, port := freeAddress(t)
	p := Place{World: 2, Address: host + ":" + port, Job: "a"}
	if err := join(p, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "1 of 2 processes came") {
		t.Errorf("alone: %v", err)
	}
	p.Rank = 1
	if err := join(p, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("without rank 0: %v", err)
	}
	// Strangers do not disturb a job: one of another job, one that talks HTTP.
	errs := make(chan error, 2)
	go func() { p := p; p.Rank = 0; errs <- join(p, 5*time.Second) }()
	time.Sleep(50 * time.Millisecond)
	if conn, err := net.Dial("tcp", p.Address); err == nil {
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		defer conn.Close()
	}
	other := p
	other.Job = "b"
	if err := join(other, 300*time.Millisecond); err == nil {
		t.Error("a process of another job was let in")
	}
	if err := join(p, 5*time.Second); err != nil {
		t.Error(err)
	}
	if err := <-errs; err != nil {
		t.Error(err)
	}
	// Two processes that both say they are rank 1.
	p.World = 3
	go func() { p := p; p.Rank = 0; errs <- join(p, 2*time.Second) }()
	go func() { errs <- join(p, 2*time.Second) }()
	time.Sleep(100 * time.Millisecond)
	if err := join(p, 2*time.Second); err == nil || !strings.Contains(err.Error(), "rank 1 is here already") {
		t.Errorf("twice rank 1: %v", err)
	}
	<-errs
	<-errs
}
