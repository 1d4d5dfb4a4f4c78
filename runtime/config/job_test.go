package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dpolab/kernels/nccl/nccltest"
	"dpolab/kernels/queuetest"
	"dpolab/runtime/loss"
	"dpolab/runtime/train"
)

// TestMain is a process of a job, as "dpolab train" is, when a test has started
// it as one.
func TestMain(m *testing.M) {
	if os.Getenv("DPOLAB_TEST_JOB") == "" {
		os.Exit(m.Run())
	}
	queuetest.Register(queuetest.Options{Delay: 20 * time.Microsecond})
	if err := work(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var errBattery = errors.New("the battery is empty")

func work(words []string) error {
	e, err := Parse(words)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	r, err := e.Start(ctx, train.Events{Log: func(line string) { fmt.Fprintln(os.Stderr, line) }})
	if err != nil {
		return err
	}
	defer r.Close()
	steps := 0
	switch os.Getenv("DPOLAB_TEST_JOB") {
	case "fails":
		dpo := loss.DPO(0.1, 0)
		r.Trainer.SetLoss(func(lp loss.LogProbs) loss.Output {
			if steps++; steps == 2 {
				panic(errBattery)
			}
			return dpo(lp)
		})
	case "dies":
		dpo := loss.DPO(0.1, 0)
		r.Trainer.SetLoss(func(lp loss.LogProbs) loss.Output {
			if steps++; steps == 2 {
				os.Exit(3)
			}
			return dpo(lp)
		})
	case "is interrupted":
		r.Trainer.SetProgress(func(done, total int, m train.Metrics) {
			if steps++; steps == 2 {
				stop()
			}
		})
	}
	defer func() {
		if p := recover(); p != nil {
			r.World.Fail(fmt.Errorf("%v", p))
			panic(p)
		}
	}()
	return r.Trainer.Run(ctx)
}

// process is one of a job.
type process struct {
	env    []string
	words  []string
	stderr bytes.Buffer
	cmd    *exec.Cmd
	err    error
}

// launch starts a job as torchrun does and waits for its end.
func launch(t *testing.T, processes []*process) {
	t.Helper()
	dir, library, err := nccltest.Build()
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for rank, p := range processes {
		p.cmd = exec.CommandContext(ctx, os.Args[0], p.words...)
		p.cmd.Env = append(os.Environ(), "DPOLAB_NCCL="+library, "DPOLAB_NCCL_TIMEOUT=20", "MASTER_ADDR=127.0.0.1", "MASTER_PORT="+port,
			fmt.Sprint("RANK=", rank), fmt.Sprint("WORLD_SIZE=", len(processes)))
		p.cmd.Env = append(p.cmd.Env, p.env...)
		p.cmd.Stderr = &p.stderr
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range processes {
		p.err = p.cmd.Wait()
	}
	if ctx.Err() != nil {
		for i, p := range processes {
			t.Errorf("process %d:\n%s", i, p.stderr.String())
		}
		t.Fatal("the job hangs")
	}
}

// trained are the weights that a run has left, its optimizer's state and the
// losses on the way.
func (l lab) trained(run string) string {
	l.t.Helper()
	out := ""
	for _, name := range []string{"model.safetensors", "optimizer.safetensors"} {
		out += string(l.read(l.path(run + "/LATEST/" + name)))
	}
	for _, line := range strings.Split(string(l.read(l.path(run+"/metrics.jsonl"))), "\n") {
		_, metrics, _ := strings.Cut(line, `"loss/`)
		loss, _, _ := strings.Cut(metrics, ",")
		out += loss + "\n"
	}
	return out
}

// run trains in this process.
func (l lab) run(words []string) {
	l.t.Helper()
	r, err := l.start(words, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := r.Trainer.Run(context.Background()); err != nil {
		l.t.Fatal(err)
	}
}

// TestJob trains in processes with a GPU each, and in processes with two, and
// wants the bits of a run on as many ranks of the CPU; also with the
// reference's log-probabilities from the disk, which the first process alone
// reads.
func TestJob(t *testing.T) {
	local := func(rank, size int) []string {
		return []string{"DPOLAB_TEST_JOB=runs", fmt.Sprint("LOCAL_RANK=", rank), fmt.Sprint("LOCAL_WORLD_SIZE=", size)}
	}
	for _, c := range []struct {
		name  string
		words []string
		ranks string
		jobs  [][]string // the processes' environments
	}{
		{"a process per GPU", []string{"devices=cuda:0,1", "model.fsdp_policy_mp=bfloat16"}, "cpu:2", [][]string{local(0, 2), local(1, 2)}},
		{"a process per machine", []string{"devices=cuda:0,1", "sharding_strategy=HYBRID_SHARD", "shard_size=2", "cpu_offload=true"}, "cpu:4", [][]string{local(0, 1), local(0, 1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			words := l.words(append(c.words, "n_examples=24", "eval_every=16", "n_eval_examples=8")...)
			l.run(append(words, "devices="+c.ranks, "local_run_dir="+l.path("alone"), "reference_cache_dir="+l.path("cache-alone")))
			want := l.trained("alone")
			for _, cached := range []bool{false, true} {
				var job []*process
				for i, env := range c.jobs {
					p := &process{env: env, words: append([]string(nil), words...)}
					if i > 0 { // on another machine, these would be other folders
						p.words = append(p.words, "local_run_dir="+l.path("other"), "reference_cache_dir="+l.path("other-cache"))
					}
					job = append(job, p)
				}
				launch(t, job)
				for i, p := range job {
					if p.err != nil {
						t.Fatalf("process %d: %v\n%s", i, p.err, p.stderr.String())
					}
					if i > 0 && p.stderr.Len() > 0 {
						t.Errorf("process %d speaks: %s", i, p.stderr.String())
					}
				}
				if got := l.trained("run"); got != want {
					t.Errorf("cached %v: the job took another way", cached)
				}
				for _, name := range []string{"other", "other-cache"} {
					if _, err := os.Stat(l.path(name)); err == nil {
						t.Errorf("a process that does not lead has written %s", name)
					}
				}
				os.RemoveAll(l.path("run"))
			}
		})
	}
}

// TestJobsThatFail end in all processes within seconds, each with what was
// wrong and where.
func TestJobsThatFail(t *testing.T) {
	for _, c := range []struct {
		name, what string // what the second process does
		words      []string
		want       [2]string // in the processes' last words
	}{
		{"a loss panics", "fails", nil, [2]string{"rank 1 failed: the battery is empty", "the battery is empty"}},
		{"a process dies", "dies", nil, [2]string{"rank 1 left", ""}},
		{"an interrupt", "is interrupted", nil, [2]string{"interrupted after 16 examples", "interrupted after 16 examples"}},
		{"ranks of the CPU", "runs", []string{"devices=cpu:2"}, [2]string{"between processes NCCL carries the tensors", "between processes NCCL carries the tensors"}},
		{"a batch that does not divide", "runs", []string{"batch_size=9", "eval_every=9"}, [2]string{"batch_size=9 does not divide", "batch_size=9 does not divide"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			words := l.words(append([]string{"devices=cuda:0,1", "n_examples=64"}, c.words...)...)
			job := []*process{
				{words: words, env: []string{"DPOLAB_TEST_JOB=runs", "LOCAL_RANK=0", "LOCAL_WORLD_SIZE=2"}},
				{words: words, env: []string{"DPOLAB_TEST_JOB=" + c.what, "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2"}},
			}
			begun := time.Now()
			launch(t, job)
			for i, p := range job {
				if p.err == nil || !strings.Contains(p.stderr.String(), c.want[i]) {
					t.Errorf("process %d after %s: %v, want %q\n%s", i, time.Since(begun).Round(time.Second), p.err, c.want[i], p.stderr.String())
				}
			}
			if c.what == "is interrupted" {
				if _, err := os.Stat(filepath.Join(l.path("run"), "step-16", "model.safetensors")); err != nil {
					t.Errorf("no checkpoint: %v", err)
				}
			}
		})
	}
}
