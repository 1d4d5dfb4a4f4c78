package bench

import (
	"context"
	"fmt"
)

// scaling measures our fixed-length step along one quantity at a time. The law
// beside each figure is arithmetic: time goes as the model's floating
// operations, and as one over the threads that share them.
func (d *driver) scaling(ctx context.Context) error {
	base := Shape{"gpt2", 4, 256, 4, 4096, 1024}
	layered := func(n int) Shape { s := base; s.Layers = n; return s }
	type point struct {
		shape          Shape
		batch, length  int
		ranks, threads int
	}
	lines := []struct {
		name   string
		values []int
		at     func(v int) point
	}{
		{"scaling sequences", []int{4, 8, 16, 32}, func(v int) point { return point{base, v, 128, 1, 1} }},
		{"scaling length", []int{128, 256, 512, 1024}, func(v int) point { return point{base, 2048 / v, v, 1, 1} }},
		{"scaling layers", []int{2, 4, 8, 16}, func(v int) point { return point{layered(v), 8, 128, 1, 1} }},
		{"scaling threads", d.options.Threads, func(v int) point { return point{base, 16, 128, 1, v} }},
		{"scaling ranks", []int{1, 2, 4}, func(v int) point { return point{base, 16, 128, v, 1} }},
	}
	for _, l := range lines {
		if !d.options.wants(l.name) {
			continue
		}
		values := l.values
		if n := len(values); d.options.Quick && n > 2 {
			values = []int{values[0], values[n-1]}
		}
		first := 0.0
		for _, v := range values {
			p := l.at(v)
			dir, err := d.checkpoint(p.shape, 0)
			if err != nil {
				return err
			}
			work := p.shape.stepFlops(p.batch, p.length) / float64(min(p.ranks*p.threads, d.options.most()))
			if first == 0 {
				first = work
			}
			job := d.job("sft", dir, p.threads)
			job.Ranks = p.ranks
			d.add(ctx, d.hold(ctx, Contest{Section: "scaling", Case: fmt.Sprintf("%s %d", l.name, v), Threads: p.threads, Unit: "tokens", Work: float64(p.batch * p.length), Law: work / first},
				[]entrant{{name: "dpolab float32", ours: true, settings: []setting{{job: job}}}}, sequences(1+d.options.Rounds, p.batch, p.length, p.shape.Vocabulary)))
		}
	}
	return nil
}
