package cuda

import (
	"errors"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/driver"
)

// Host memory that the device copies from and to must be locked in place, so
// everything goes through a ring of such memory. The ring is cut into parts;
// an upload fills it in order, and only when it comes around to a part whose
// copies are not done does it wait. Small uploads therefore never hold the
// queue up.
const (
	partBytes = 4 << 20
	ringParts = 4
)

// staging is the ring.
type staging struct {
	gpu     driver.Device
	stream  driver.Stream
	ring    unsafe.Pointer
	used    [ringParts]driver.Event // after the last copy from the part
	pending [ringParts]bool
	part    int // where the next upload goes
	offset  int
}

func (s *staging) open(gpu driver.Device, stream driver.Stream) error {
	s.gpu, s.stream = gpu, stream
	var err error
	if s.ring, err = gpu.AllocHost(partBytes * ringParts); err != nil {
		return err
	}
	for i := range s.used {
		if s.used[i], err = gpu.NewEvent(false); err != nil {
			return err
		}
	}
	return nil
}

func (s *staging) close() error {
	var errs []error
	for _, e := range s.used {
		if e != nil {
			errs = append(errs, e.Destroy())
		}
	}
	if s.ring != nil {
		errs = append(errs, s.gpu.FreeHost(s.ring))
	}
	*s = staging{}
	return errors.Join(errs...)
}

// next turns to the next part of the ring and waits until it is free.
func (s *staging) next() error {
	if s.offset > 0 {
		if err := s.stream.Record(s.used[s.part]); err != nil {
			return err
		}
		s.pending[s.part] = true
	}
	s.part, s.offset = (s.part+1)%ringParts, 0
	if !s.pending[s.part] {
		return nil
	}
	s.pending[s.part] = false
	return s.used[s.part].Synchronize()
}

func (s *staging) at(part, offset int) unsafe.Pointer {
	return unsafe.Add(s.ring, part*partBytes+offset)
}

func (s *staging) upload(dst driver.Ptr, src []byte) error {
	for len(src) > 0 {
		if s.offset == partBytes {
			if err := s.next(); err != nil {
				return err
			}
		}
		n := min(len(src), partBytes-s.offset)
		from := s.at(s.part, s.offset)
		copy(unsafe.Slice((*byte)(from), n), src)
		if err := s.stream.Upload(dst, from, int64(n)); err != nil {
			return err
		}
		s.offset = min((s.offset+n+63)&^63, partBytes)
		src, dst = src[n:], dst+driver.Ptr(n)
	}
	return nil
}

// download copies part by part, the device filling one while the host empties
// the one before.
func (s *staging) download(dst []byte, src driver.Ptr) error {
	type piece struct {
		part int
		to   []byte
	}
	var flying []piece
	land := func() error {
		p := flying[0]
		flying = flying[1:]
		s.pending[p.part] = false
		if err := s.used[p.part].Synchronize(); err != nil {
			return err
		}
		copy(p.to, unsafe.Slice((*byte)(s.at(p.part, 0)), len(p.to)))
		return nil
	}
	for len(dst) > 0 {
		if len(flying) == ringParts-1 {
			if err := land(); err != nil {
				return err
			}
		}
		if err := s.next(); err != nil {
			return err
		}
		n := min(len(dst), partBytes)
		if err := s.stream.Download(s.at(s.part, 0), src, int64(n)); err != nil {
			return err
		}
		if err := s.stream.Record(s.used[s.part]); err != nil {
			return err
		}
		s.pending[s.part] = true
		flying = append(flying, piece{s.part, dst[:n]})
		dst, src = dst[n:], src+driver.Ptr(n)
	}
	for len(flying) > 0 {
		if err := land(); err != nil {
			return err
		}
	}
	return nil
}

// Upload queues a copy to the device. src is free to change when it returns;
// only an upload of many megabytes waits for copies before it.
func (b *Backend) Upload(dst unsafe.Pointer, src []byte) {
	b.check("upload", b.before(b.stream))
	b.check("upload", b.staging.upload(driver.Ptr(uintptr(dst)), src))
	b.check("upload", b.after(b.stream, func() kernels.Work { return kernels.Work{Family: "copies", Name: "upload"} }))
}

// Download copies from the device when everything queued before is done.
func (b *Backend) Download(dst []byte, src unsafe.Pointer) {
	b.check("download", b.staging.download(dst, driver.Ptr(uintptr(src))))
	b.raiseFault()
}
