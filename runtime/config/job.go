package config

import (
	"context"
	"fmt"
	"time"

	"dpolab/kernels"
	"dpolab/runtime/distributed"
)

// joining is how long a process waits for the others of its job.
const joining = 10 * time.Minute

// openWorld opens the ranks of this process, and in a job meets the others.
func (r *Run) openWorld(ctx context.Context, logf func(string, ...any)) error {
	e := &r.Experiment
	devices, err := kernels.ParseDevices(e.Devices)
	if err != nil {
		return err
	}
	if !r.inJob {
		r.World, err = distributed.NewWorld(devices, e.Threads)
		return err
	}
	if e.Trainer == "BasicTrainer" {
		return fmt.Errorf("config: trainer=BasicTrainer runs on one device, %s has started %d processes: use trainer=FSDPTrainer", r.place.Launcher, r.place.World)
	}
	logf("waiting at %s for the %d processes that %s has started", r.place.Address, r.place.World, r.place.Launcher)
	ctx, cancel := context.WithTimeoutCause(ctx, joining, fmt.Errorf("not all processes came within %s", joining))
	defer cancel()
	if r.World, err = distributed.JoinWorld(ctx, r.place, devices, e.Threads); err != nil {
		return err
	}
	logf("%d ranks in %d processes, of which this has %d", r.World.Size(), r.place.World, r.World.Local())
	return e.fits(r.World.Size())
}

// fits checks what depends on the number of ranks, as Validate does for those
// of one process.
func (e *Experiment) fits(ranks int) error {
	if per := e.GradientAccumulationSteps * ranks; e.BatchSize%per != 0 {
		return fmt.Errorf("config: batch_size=%d does not divide into %d microbatches × %d ranks: want a multiple of %d", e.BatchSize, e.GradientAccumulationSteps, ranks, per)
	}
	if e.EvalBatchSize%ranks != 0 {
		return fmt.Errorf("config: eval_batch_size=%d does not divide over %d ranks", e.EvalBatchSize, ranks)
	}
	if e.ShardingStrategy == "HYBRID_SHARD" && (e.ShardSize < 1 || ranks%e.ShardSize != 0) {
		return fmt.Errorf("config: shard_size=%d: HYBRID_SHARD wants a divisor of the %d ranks", e.ShardSize, ranks)
	}
	return nil
}

// shareDir makes the first process's run directory that of all.
func (r *Run) shareDir() error {
	all, err := r.World.Share("run directory", []byte(r.Dir))
	if err == nil {
		r.Dir = string(all[0])
		r.Experiment.LocalRunDir = r.Dir
	}
	return err
}
