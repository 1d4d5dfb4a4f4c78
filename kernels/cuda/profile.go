package cuda

import (
	"errors"
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/driver"
)

var _ kernels.Profiler = (*Backend)(nil)

// profile is a recording of what the compute stream is given: an event before
// and one after each piece of work. The device reaches the first when it has
// done what came before and has heard of this piece, so that time in which it
// waits for the host lies between pieces and not in them.
type profile struct {
	events []driver.Event // two a piece
	work   []kernels.Work // a piece each
}

// StartProfile begins to record. What is queued before is waited for.
func (b *Backend) StartProfile() error {
	if b.profile != nil {
		return errors.New("cuda: a profile is being taken already")
	}
	b.Synchronize()
	b.profile = &profile{}
	return nil
}

// before and after stand around what is queued in a stream.
func (b *Backend) before(stream driver.Stream) error {
	if b.profile == nil || stream != b.stream {
		return nil
	}
	return b.mark()
}

func (b *Backend) after(stream driver.Stream, work func() kernels.Work) error {
	if b.profile == nil || stream != b.stream {
		return nil
	}
	b.profile.work = append(b.profile.work, work())
	return b.mark()
}

func (b *Backend) mark() error {
	e, err := b.gpu.NewEvent(true)
	if err != nil {
		return err
	}
	b.profile.events = append(b.profile.events, e)
	return b.stream.Record(e)
}

// StopProfile adds what was recorded up.
func (b *Backend) StopProfile() (out kernels.Profile, err error) {
	p := b.profile
	if p == nil {
		return out, errors.New("cuda: no profile is being taken")
	}
	b.profile = nil
	defer func() {
		for _, e := range p.events {
			err = errors.Join(err, e.Destroy())
		}
	}()
	b.Synchronize()
	if len(p.events) != 2*len(p.work) {
		return out, errors.New("cuda: a profiled operation failed")
	}
	at := map[[2]string]int{}
	for i, w := range p.work {
		if w.Seconds, err = p.events[2*i+1].Since(p.events[2*i]); err != nil {
			return out, err
		}
		w.Count = 1
		out.Busy += w.Seconds
		key := [2]string{w.Family, w.Name}
		if n, seen := at[key]; seen {
			have := &out.Work[n]
			have.Count, have.Seconds, have.Flops = have.Count+1, have.Seconds+w.Seconds, have.Flops+w.Flops
			continue
		}
		at[key] = len(out.Work)
		out.Work = append(out.Work, w)
	}
	if n := len(p.events); n > 0 {
		out.Span, err = p.events[n-1].Since(p.events[0])
	}
	return out, err
}

// productWork is a product.
func productWork(g *kernels.GemmArgs) kernels.Work {
	trans := map[bool]string{true: "T", false: "N"}
	batch := max(g.Batch, 1)
	name := fmt.Sprintf("%d×%d×%d %s%s %s→%s", g.M, g.N, g.K, trans[g.TransA], trans[g.TransB], g.A.DType, g.C.DType)
	if batch > 1 {
		name = fmt.Sprintf("%d of %s", batch, name)
	}
	return kernels.Work{Family: "gemm", Name: name, Flops: 2 * float64(batch) * float64(g.M) * float64(g.N) * float64(g.K)}
}
