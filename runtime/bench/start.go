package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/models"
	"dpolab/runtime/tensor"
)

// start measures what a user waits for before anything is computed: the
// program's start, the session's prompt, a checkpoint's weights.
func (d *driver) start(ctx context.Context) error {
	program := d.options.Self[0]
	for _, c := range []struct {
		name string
		once func(ctx context.Context) (time.Duration, time.Duration, error)
	}{
		{"start version", func(ctx context.Context) (time.Duration, time.Duration, error) {
			return runOnce(ctx, program, "version")
		}},
		{"start prompt", func(ctx context.Context) (time.Duration, time.Duration, error) { return untilPrompt(ctx, program) }},
	} {
		if !d.options.wants(c.name) {
			continue
		}
		d.say("%s", c.name)
		side := Side{Name: "dpolab", Ours: true}
		for i := range 1 + 3*d.options.Rounds {
			wall, cpu, err := c.once(ctx)
			if err != nil {
				side.Error = err.Error()
				break
			}
			if i == 0 { // reads the program from the disk, perhaps
				side.Warm = append(side.Warm, wall.Seconds())
				continue
			}
			side.Seconds, side.CPU = append(side.Seconds, wall.Seconds()), append(side.CPU, cpu.Seconds())
		}
		d.add(ctx, Contest{Section: "start", Case: c.name, Sides: []Side{side}})
	}
	return d.loads(ctx)
}

// runOnce runs the program to its end.
func runOnce(ctx context.Context, program string, args ...string) (wall, cpu time.Duration, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("bench: %s: %w", filepath.Base(program), err)
	}
	return time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// loads measures how long a large checkpoint takes to be in memory, read from
// the disk and from the system's cache, beside the mere reading of the file.
func (d *driver) loads(ctx context.Context) error {
	cases := []struct {
		name string
		cold bool
		read bool
	}{{"start read from disk", true, true}, {"start load from disk", true, false}, {"start read from cache", false, true}, {"start load from cache", false, false}}
	if !d.options.wants("start load") {
		return nil
	}
	dir, err := d.checkpoint(large, 0)
	if err != nil {
		return err
	}
	weights := filepath.Join(dir, "model.safetensors")
	info, err := os.Stat(weights)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	c, err := startChild(ctx, "loader", d.options.Self, nil)
	if err != nil {
		return err
	}
	contests := make([]Contest, len(cases))
	for i, k := range cases {
		contests[i] = Contest{Section: "start", Case: k.name, Threads: d.options.most(), Unit: "GB", Work: float64(info.Size()) / 1e9, Sides: []Side{{Name: "dpolab", Ours: true}}}
	}
	for range 1 + d.options.Rounds {
		for i, k := range cases {
			d.say("%s", k.name)
			if k.cold {
				if err := forget(weights); err != nil {
					return err
				}
			}
			what := request{Op: "load", Path: dir}
			if k.read {
				what = request{Op: "read", Path: weights}
			}
			answer, err := c.ask(what)
			if err != nil {
				return err
			}
			side := &contests[i].Sides[0]
			if side.Warm == nil {
				side.Warm = answer.Seconds
				continue
			}
			side.Seconds, side.CPU = append(side.Seconds, answer.Seconds...), append(side.CPU, answer.CPU...)
			side.HeapGrowth, side.HeapAllocated = max(side.HeapGrowth, answer.HeapGrowth), max(side.HeapAllocated, answer.HeapAllocated)
		}
	}
	for _, contest := range contests {
		d.add(ctx, contest)
	}
	return c.stop()
}

// forget has the system drop a file from its cache.
func forget(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // what is not written yet would stay
		return fmt.Errorf("bench: %w", err)
	}
	if err := dropCache(f); err != nil {
		return fmt.Errorf("bench: %s: dropping it from the cache: %w", path, err)
	}
	return nil
}

// readFile reads a file through a buffer that fits the caches.
func readFile(path string) (reply, error) {
	began, before := time.Now(), processorSeconds()
	f, err := os.Open(path)
	if err != nil {
		return reply{}, fmt.Errorf("bench: %w", err)
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for {
		if _, err := f.Read(buf); err == io.EOF {
			break
		} else if err != nil {
			return reply{}, fmt.Errorf("bench: %w", err)
		}
	}
	return reply{Seconds: []float64{time.Since(began).Seconds()}, CPU: []float64{processorSeconds() - before}}, nil
}

// loadModel loads a checkpoint as it is stored and says what that asked of Go's
// heap.
func loadModel(dir string) (reply, error) {
	dev, err := tensor.Open(device.Device{Type: device.CPU}, 0)
	if err != nil {
		return reply{}, err
	}
	defer dev.Close()
	var m0, m1 runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m0)
	began, before := time.Now(), processorSeconds()
	m, err := models.Load(dir, dev, dtype.Invalid)
	if err != nil {
		return reply{}, err
	}
	out := reply{Seconds: []float64{time.Since(began).Seconds()}, CPU: []float64{processorSeconds() - before}}
	runtime.ReadMemStats(&m1)
	out.HeapAllocated = int64(m1.TotalAlloc - m0.TotalAlloc)
	runtime.GC()
	runtime.ReadMemStats(&m1)
	out.HeapGrowth = int64(m1.HeapAlloc) - int64(m0.HeapAlloc)
	runtime.KeepAlive(m)
	return out, nil
}
