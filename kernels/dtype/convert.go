package dtype

import "math"

// BFloat16FromFloat32 rounds x to the nearest bfloat16 and returns its bits.
func BFloat16FromFloat32(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40 // quiet NaN: rounding could carry it into infinity
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// Float32FromBFloat16 widens bfloat16 bits exactly.
func Float32FromBFloat16(b uint16) float32 {
	return math.Float32frombits(uint32(b) << 16)
}

// Float16FromFloat32 rounds x to the nearest float16 and returns its bits.
// Results below the normal range become subnormals, not zero.
func Float16FromFloat32(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b >> 16 & 0x8000)
	abs := b & 0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | uint16(abs>>13&0x1ff)
	case abs >= 0x477ff000: // 65520 and up round to infinity
		return sign | 0x7c00
	case abs >= 0x38800000: // normal: rebias the exponent, round the 13 lost bits
		abs -= 0x38000000
		return sign | uint16((abs+0xfff+abs>>13&1)>>13)
	case abs < 0x33000000: // below half of the least subnormal
		return sign
	}
	// Subnormal: the value in units of 2^-24, rounded half to even.
	shift := 126 - abs>>23
	mant := abs&0x7fffff | 0x800000
	half := uint32(1) << (shift - 1)
	return sign | uint16((mant+half-1+mant>>shift&1)>>shift)
}

// Float32FromFloat16 widens float16 bits exactly.
func Float32FromFloat16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h >> 10 & 0x1f)
	mant := uint32(h & 0x3ff)
	switch exp {
	case 0:
		f := float32(mant) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | mant<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | mant<<13)
}
