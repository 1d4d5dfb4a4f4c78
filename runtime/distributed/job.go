package distributed

import (
	"context"
	"encoding/binary"
	"fmt"

	"dpolab/kernels/device"
	"dpolab/runtime/distributed/rendezvous"
)

// JoinWorld is NewWorld in a job of several processes: it waits until all have
// come, or until ctx ends, and opens this process's ranks. They are numbered
// through the processes in order. A process may have one GPU or several; where
// a machine runs several processes, they divide its devices among them.
//
// The processes run one program side by side: all of them call the same things
// on the world in the same order.
func JoinWorld(ctx context.Context, place rendezvous.Place, devices []device.Device, threads int) (*World, error) {
	devices, err := shareOf(place, devices)
	if err != nil {
		return nil, err
	}
	if _, err := linkOf(devices, true); err != nil {
		return nil, err // before anybody waits
	}
	job, err := rendezvous.Join(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("distributed: %w", err)
	}
	counts, err := job.AllGather("ranks", binary.LittleEndian.AppendUint32(nil, uint32(len(devices))))
	if err != nil {
		job.Close()
		return nil, fmt.Errorf("distributed: %w", err)
	}
	first, size := 0, 0
	for i, c := range counts {
		if i == place.Rank {
			first = size
		}
		size += int(binary.LittleEndian.Uint32(c))
	}
	w, err := newWorld(job, first, size, devices, threads)
	if err != nil {
		if job.Err() == nil {
			job.Fail(err)
		}
		job.Close()
		return nil, err
	}
	return w, nil
}

// shareOf is this process's part of a machine's devices. A process that sees
// one device only has been given it by its launcher.
func shareOf(place rendezvous.Place, devices []device.Device) ([]device.Device, error) {
	if place.LocalWorld <= 1 || len(devices) <= 1 {
		return devices, nil
	}
	n := len(devices) / place.LocalWorld
	if len(devices)%place.LocalWorld != 0 || place.LocalRank >= place.LocalWorld {
		return nil, fmt.Errorf("distributed: %s has started %d processes on this machine, which cannot share %d devices evenly: want one process per machine, or one per device",
			place.Launcher, place.LocalWorld, len(devices))
	}
	return devices[place.LocalRank*n : (place.LocalRank+1)*n], nil
}

// Leads reports whether this process is the first of its job, as the only one
// is: the one that writes files and speaks.
func (w *World) Leads() bool { return w.job == nil || w.job.Place().Rank == 0 }

// IsJob reports whether ranks of other processes are part of the world.
func (w *World) IsJob() bool { return w.job != nil }

// Share returns what every process of the job gives, in their order. All must
// call it at the same point, outside Run, with the same name.
func (w *World) Share(name string, data []byte) ([][]byte, error) {
	if w.job == nil {
		return [][]byte{data}, nil
	}
	if w.broken != nil {
		return nil, fmt.Errorf("distributed: the job has ended: %w", w.broken)
	}
	all, err := w.job.AllGather(name, data)
	if err != nil {
		w.broken = err
		return nil, fmt.Errorf("distributed: %w", err)
	}
	return all, nil
}

// Agree reports whether any process of the job says yes. It is called as Share
// is.
func (w *World) Agree(name string, yes bool) (bool, error) {
	vote := []byte{0}
	if yes {
		vote[0] = 1
	}
	all, err := w.Share(name, vote)
	for _, v := range all {
		yes = yes || len(v) == 1 && v[0] == 1
	}
	return yes, err
}

// Lead runs fn in the first process of the job and returns what it returns, in
// all of them.
func (w *World) Lead(name string, fn func() error) error {
	var err error
	var text []byte
	if w.Leads() {
		if err = fn(); err != nil {
			text = []byte(err.Error())
		}
	}
	if w.job == nil {
		return err
	}
	all, shareErr := w.Share(name, text)
	switch {
	case err != nil:
		return err
	case shareErr != nil:
		return shareErr
	case len(all[0]) > 0:
		return fmt.Errorf("in the first process: %s", all[0])
	}
	return nil
}

// Fail ends the job for all processes, because this one cannot go on. In a
// world of one process it does nothing.
func (w *World) Fail(err error) {
	if w.job != nil && w.job.Err() == nil {
		w.job.Fail(err)
	}
}
