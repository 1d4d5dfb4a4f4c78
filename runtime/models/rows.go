package models

import (
	"encoding/binary"
	"fmt"
	"math"

	"dpolab/kernels/dtype"
	"dpolab/runtime/nn"
	"dpolab/runtime/safetensors"
	"dpolab/runtime/tensor"
)

// loadChunk is how many elements are checked, staged and copied at a time.
const loadChunk = 1 << 20

// stored are the rows of a parameter that this rank holds, as the file has them.
type stored struct {
	parameter *nn.Parameter
	info      safetensors.Info
	rows      []byte
}

func rowsOf(p *nn.Parameter, info safetensors.Info, data []byte) stored {
	size := info.DType.Size()
	return stored{p, info, data[p.RowStart*p.RowLen()*size : p.RowEnd*p.RowLen()*size]}
}

// chunks calls fn with the bytes of each chunk and its first element until fn
// returns false.
func (t stored) chunks(fn func(lo int, part []byte) bool) {
	size := t.info.DType.Size()
	for lo := 0; lo*size < len(t.rows); lo += loadChunk {
		if !fn(lo, t.rows[lo*size:min((lo+loadChunk)*size, len(t.rows))]) {
			return
		}
	}
}

// checkAhead looks for NaN and infinities in a goroutine of its own, which also
// brings what is copied next from the disk. It sends, chunk by chunk, the index
// of the first such element, -1 if there is none. stop ends it before the file
// is unmapped.
func (c *Checkpoint) checkAhead(list []stored) (checked <-chan int, stop func()) {
	results, quit, ended := make(chan int, 16), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for _, t := range list {
			on := true
			t.chunks(func(_ int, part []byte) bool {
				at := -1
				if !c.AllowNonFinite {
					at = firstNonFinite(part, t.info.DType)
				}
				select {
				case results <- at:
				case <-quit:
					on = false
				}
				return on
			})
			if !on {
				return
			}
		}
	}()
	return results, func() {
		close(quit)
		<-ended
	}
}

// load fills this rank's rows of the parameter, a chunk as soon as it is
// checked.
func (t stored) load(dev *tensor.Device, checked <-chan int) (err error) {
	master := t.parameter.Master()
	master.Touch()
	if t.parameter.IsSharded() { // its masters may live on the host
		dev = master.Device()
	}
	t.chunks(func(lo int, part []byte) bool {
		if at := <-checked; at >= 0 {
			err = fmt.Errorf("element %d is NaN or infinite", t.parameter.RowStart*t.parameter.RowLen()+lo+at)
			return false
		}
		dt := t.info.DType
		n := len(part) / dt.Size()
		to := master.Array().Slice(lo, lo+n)
		if dt == master.DType() {
			dev.Backend().Upload(to.Data, part)
			return true
		}
		if dt == dtype.Float64 { // which most devices do not know
			part, dt = narrowed(part), dtype.Float32
		}
		dev.Scope(func() *tensor.Tensor {
			staged := tensor.Empty(dev, dt, n)
			dev.Backend().Upload(staged.Array().Data, part)
			dev.Backend().Copy(to, staged.Array())
			return nil
		})
		return true
	})
	return err
}

// narrowed turns little-endian float64 into float32.
func narrowed(data []byte) []byte {
	out := make([]byte, 0, len(data)/2)
	for ; len(data) > 0; data = data[8:] {
		v := math.Float64frombits(binary.LittleEndian.Uint64(data))
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
	}
	return out
}

// firstNonFinite returns the index of the first NaN or infinity among
// little-endian floats, -1 if there is none. Such a value has all exponent
// bits set, so that adding the lowest of them to the exponent alone carries
// into the sign: a test of eight bytes at a time.
func firstNonFinite(data []byte, dt dtype.DType) int {
	var exponent, lowest, sign uint64 // of each lane
	switch dt {
	case dtype.Float64:
		exponent, lowest, sign = 0x7ff0<<48, 0x0010<<48, 1<<63
	case dtype.Float32:
		exponent, lowest, sign = 0x7f800000_7f800000, 0x00800000_00800000, 0x80000000_80000000
	case dtype.BFloat16:
		exponent, lowest, sign = 0x7f80_7f80_7f80_7f80, 0x0080_0080_0080_0080, 0x8000_8000_8000_8000
	case dtype.Float16:
		exponent, lowest, sign = 0x7c00_7c00_7c00_7c00, 0x0400_0400_0400_0400, 0x8000_8000_8000_8000
	default:
		return -1
	}
	for at := 0; at < len(data); at += 8 {
		var word uint64
		if at+8 <= len(data) {
			word = binary.LittleEndian.Uint64(data[at:])
		} else {
			var last [8]byte
			copy(last[:], data[at:])
			word = binary.LittleEndian.Uint64(last[:])
		}
		if hit := (word&exponent + lowest) & sign; hit != 0 {
			for lane := 0; ; lane++ {
				if bits := dt.Size() * 8; hit>>(lane*bits+bits-1)&1 != 0 {
					return at/dt.Size() + lane
				}
			}
		}
	}
	return -1
}
