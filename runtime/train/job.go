package train

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/models"
)

// In a job of several processes every process runs the same controller over
// its own ranks. What the controllers must not see differently is exchanged
// here: log-probabilities, what is known of the reference, interrupts. The
// first process alone logs and writes files.

// shareValues completes the numbers of n examples, one run of n after the
// other, of which each process has those of its ranks.
func shareValues(w *distributed.World, values []float32, n int) error {
	if !w.IsJob() {
		return nil
	}
	lo, _ := data.RankRange(n, w.Size(), w.First())
	_, hi := data.RankRange(n, w.Size(), w.First()+w.Local()-1)
	own := binary.LittleEndian.AppendUint32(nil, uint32(lo))
	for side := 0; side < len(values); side += n {
		own = appendValues(own, values[side+lo:side+hi])
	}
	all, err := w.Share("log-probabilities", own)
	if err != nil {
		return err
	}
	sides := len(values) / n
	for i, part := range all {
		if len(part) < 4 || (len(part)-4)%(4*sides) != 0 {
			return fmt.Errorf("log-probabilities: process %d sent %d bytes", i, len(part))
		}
		at, count := int(binary.LittleEndian.Uint32(part)), (len(part)-4)/(4*sides)
		if at+count > n {
			return fmt.Errorf("log-probabilities: process %d sent those of examples %d to %d of %d", i, at, at+count, n)
		}
		for side := range sides {
			readValues(values[side*n+at:side*n+at+count], part[4+4*side*count:])
		}
	}
	return nil
}

// leadValues replaces values and the answer to a question by the first
// process's.
func leadValues(w *distributed.World, values []float32, yes bool) (bool, error) {
	if !w.IsJob() {
		return yes, nil
	}
	var mine []byte
	if w.Leads() {
		mine = []byte{0}
		if yes {
			mine[0] = 1
		}
		mine = appendValues(mine, values)
	}
	all, err := w.Share("reference log-probabilities", mine)
	if err != nil {
		return false, err
	}
	if len(all[0]) != 1+4*len(values) {
		return false, fmt.Errorf("reference log-probabilities: want %d of them, got %d bytes", len(values), len(all[0]))
	}
	readValues(values, all[0][1:])
	return all[0][0] == 1, nil
}

func appendValues(out []byte, values []float32) []byte {
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

func readValues(out []float32, from []byte) {
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(from[4*i:]))
	}
}

// errAgreed is an interrupt of any process of the job.
var errAgreed = errors.New("a process of the job was interrupted")

// stopped returns an error when ctx has ended, in a job when that of any
// process has.
func (t *Trainer) stopped(ctx context.Context) error {
	if !t.world.IsJob() {
		return ctx.Err()
	}
	stop, err := t.world.Agree("interrupt", ctx.Err() != nil)
	if err == nil && stop {
		err = errAgreed
	}
	return err
}

// atomically is models.Atomically for the first process of a job; the others
// take part in fill's communication, with an empty folder name, and learn how
// it went.
func atomically(w *distributed.World, dir string, fill func(tmp string) error) error {
	if !w.Leads() {
		if err := fill(""); err != nil {
			return err
		}
	}
	return w.Lead("write", func() error { return models.Atomically(dir, fill) })
}
