package fsdp

import (
	"fmt"
	"unsafe"

	"dpolab/kernels"
	"dpolab/runtime/distributed"
	"dpolab/runtime/tensor"
)

// courier carries rows between masters on the host and the device that computes
// with them, beside the computation. What it carries lies in page-locked
// memory meanwhile: the device copies from and to no other by itself.
//
// Rows on their way out stay in their group's outbox, in the type they are
// computed in, and are cast again only when the masters have changed: between
// two updates a group is sent any number of times with no work of the host's.
// Gradients on their way in lie in memory that is used again and again, for
// two groups at most at a time.
type courier struct {
	device kernels.Pinned
	home   *tensor.Device
	spare  map[int][]unsafe.Pointer // page-locked memory that nothing is in, by size
}

// newCourier returns nil where there is nothing to carry, or where carrying
// would not run beside anything.
func newCourier(dev, home *tensor.Device) *courier {
	if p, ok := dev.Backend().(kernels.Pinned); ok && dev != home {
		return &courier{device: p, home: home, spare: map[int][]unsafe.Pointer{}}
	}
	return nil
}

// buffer is page-locked memory, with the copies that are under way from or to
// it.
type buffer struct {
	at   unsafe.Pointer
	size int
	busy kernels.Event // behind the last copy, nil if there is none
}

// idle waits until no copy is under way.
func (b *buffer) idle() {
	if b.busy != nil {
		b.busy.Synchronize()
		b.busy.Release()
		b.busy = nil
	}
}

// bytes is what an array of the buffer's is copied from or to.
func bytes(a kernels.Array) []byte { return unsafe.Slice((*byte)(a.Data), a.Bytes()) }

// take returns memory for n bytes.
func (c *courier) take(n int) buffer {
	if list := c.spare[n]; len(list) > 0 {
		c.spare[n] = list[:len(list)-1]
		return buffer{at: list[len(list)-1], size: n}
	}
	p, err := c.device.AllocPinned(n)
	if err != nil {
		panic(&tensor.Error{Op: "offload", Err: fmt.Errorf("%w: %v", tensor.ErrOutOfMemory, err)})
	}
	return buffer{at: p, size: n}
}

// put takes memory back when the copies are done.
func (c *courier) put(b *buffer) {
	if b.at == nil {
		return
	}
	b.idle()
	c.spare[b.size] = append(c.spare[b.size], b.at)
	*b = buffer{}
}

// close frees all memory that has been put back.
func (c *courier) close() {
	for _, list := range c.spare {
		for _, p := range list {
			c.device.FreePinned(p)
		}
	}
	clear(c.spare)
}

// follow makes what is handed to the second queue from now on come after what
// has been computed so far, allocations of memory included.
func (c *courier) follow() {
	e := c.device.Record(kernels.Compute)
	c.device.Wait(kernels.Transfer, e)
	e.Release()
}

// layout lays out arrays of the lengths and types of the tensors in a buffer.
func layout(list []*tensor.Tensor, at unsafe.Pointer) (arrays []kernels.Array, size int) {
	for _, t := range list {
		a := kernels.Array{DType: t.DType(), Len: t.Len()}
		if at != nil {
			a.Data = unsafe.Add(at, size)
		}
		arrays = append(arrays, a)
		size += (a.Bytes() + 63) &^ 63
	}
	return arrays, size
}

// letter is rows of a master and where they are to arrive on the device.
type letter struct{ rows, there *tensor.Tensor }

// outbox is a group's rows as they are sent.
type outbox struct {
	buffer
	of []edition // what each array was cast from
}

// edition is a master between two updates.
type edition struct {
	rows    *tensor.Tensor
	version int
}

// upload sends a group's letters. For what follows on the second queue they
// have arrived, for the computation they have after arrival's Wait.
func (c *courier) upload(box *outbox, mail []letter) {
	there := make([]*tensor.Tensor, len(mail))
	for i, m := range mail {
		there[i] = m.there
	}
	if box.at == nil {
		_, size := layout(there, nil)
		box.buffer, box.of = c.take(size), make([]edition, len(mail))
	}
	arrays, _ := layout(there, box.at)
	var old, masters []kernels.Array
	for i, m := range mail {
		if now := (edition{m.rows, m.rows.Version()}); box.of[i] != now {
			old, masters = append(old, arrays[i]), append(masters, m.rows.Array())
			box.of[i] = now
		}
	}
	if len(old) > 0 {
		box.idle()
		kernels.CopyAll(c.home.Backend(), old, masters)
	}
	c.follow()
	for i, m := range mail {
		if m.there.Len() > 0 {
			c.device.UploadPinned(m.there.Array().Data, bytes(arrays[i]))
		}
	}
	if box.busy != nil { // the copies of before come before these
		box.busy.Release()
	}
	box.busy = c.device.Record(kernels.Transfer)
}

// arrival is what was given to the second queue so far, as something to wait
// for.
func (c *courier) arrival() *distributed.Work {
	e := c.device.Record(kernels.Transfer)
	return distributed.NewWork(func() {
		c.device.Wait(kernels.Compute, e)
		e.Release()
	})
}

// free empties the outbox.
func (box *outbox) free(c *courier) {
	if c != nil {
		c.put(&box.buffer)
		box.of = nil
	}
}

// delivery is arrays on their way to the host.
type delivery struct {
	c      *courier
	buffer buffer
	arrays []kernels.Array
}

// download fetches tensors, behind what both queues were given so far.
func (c *courier) download(list []*tensor.Tensor) *delivery {
	_, size := layout(list, nil)
	d := &delivery{c: c, buffer: c.take(size)}
	d.arrays, _ = layout(list, d.buffer.at)
	c.follow()
	for i, t := range list {
		if t.Len() > 0 {
			c.device.DownloadPinned(bytes(d.arrays[i]), t.Array().Data)
		}
	}
	d.buffer.busy = c.device.Record(kernels.Transfer)
	return d
}

// wait waits, on the host, until everything has arrived, and returns it. From
// then on the computation may use the tensors again.
func (d *delivery) wait() []kernels.Array {
	d.c.device.Wait(kernels.Compute, d.buffer.busy)
	d.buffer.idle()
	return d.arrays
}

// release gives the arrays' memory back.
func (d *delivery) release() { d.c.put(&d.buffer) }
