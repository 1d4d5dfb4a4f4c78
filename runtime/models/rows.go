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

// loadChunk is how many elements are staged at a time when a type is
// converted.
const loadChunk = 1 << 22

// loadRows fills this rank's rows of p from the bytes of the whole tensor.
func (c *Checkpoint) loadRows(dev *tensor.Device, p *nn.Parameter, info safetensors.Info, data []byte) error {
	master, size, first := p.Master(), info.DType.Size(), p.RowStart*p.RowLen()
	rows := data[first*size : p.RowEnd*p.RowLen()*size]
	if !c.AllowNonFinite {
		if at := firstNonFinite(rows, info.DType); at >= 0 {
			return fmt.Errorf("element %d is NaN or infinite", first+at)
		}
	}
	master.Touch()
	if p.IsSharded() { // its masters may live on the host
		dev = master.Device()
	}
	if info.DType == master.DType() {
		dev.Backend().Upload(master.Array().Data, rows)
		return nil
	}
	for lo := 0; lo < master.Len(); lo += loadChunk {
		hi := min(lo+loadChunk, master.Len())
		part, dt := rows[lo*size:hi*size], info.DType
		if dt == dtype.Float64 { // which most devices do not know
			part, dt = narrowed(part), dtype.Float32
		}
		dev.Scope(func() *tensor.Tensor {
			staged := tensor.Empty(dev, dt, hi-lo)
			dev.Backend().Upload(staged.Array().Data, part)
			dev.Backend().Copy(master.Array().Slice(lo, hi), staged.Array())
			return nil
		})
	}
	return nil
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
