package dtype

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

// format describes a 16-bit type by its number of stored fraction bits.
type format struct {
	name     string
	fraction uint
	widen    func(uint16) float32
	narrow   func(float32) uint16
}

var formats = []format{
	{"bfloat16", 7, Float32FromBFloat16, BFloat16FromFloat32},
	{"float16", 10, Float32FromFloat16, Float16FromFloat32},
}

// value is what a pattern of the format stands for, from the definition in
// IEEE 754: sign, biased exponent, fraction.
func (f format) value(bits uint16) float64 {
	sign := 1.0
	if bits&0x8000 != 0 {
		sign = -1
	}
	width := 15 - f.fraction
	exponent, fraction := int(bits&0x7fff>>f.fraction), float64(bits&(1<<f.fraction-1))
	bias := 1<<(width-1) - 1
	switch exponent {
	case 1<<width - 1:
		if fraction != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	case 0:
		return sign * math.Ldexp(fraction, 1-bias-int(f.fraction))
	}
	return sign * math.Ldexp(1+math.Ldexp(fraction, -int(f.fraction)), exponent-bias)
}

func TestWidenEveryPattern(t *testing.T) {
	for _, f := range formats {
		for i := range 1 << 16 {
			bits := uint16(i)
			want, got := f.value(bits), float64(f.widen(bits))
			if math.IsNaN(want) {
				if !math.IsNaN(got) {
					t.Fatalf("%s %#04x: got %v, want NaN", f.name, bits, got)
				}
				continue
			}
			if got != want || math.Signbit(got) != math.Signbit(want) {
				t.Fatalf("%s %#04x: got %v, want %v", f.name, bits, got, want)
			}
		}
	}
}

func TestRoundTripEveryPattern(t *testing.T) {
	for _, f := range formats {
		for i := range 1 << 16 {
			bits := uint16(i)
			back := f.narrow(f.widen(bits))
			if math.IsNaN(f.value(bits)) {
				if !math.IsNaN(f.value(back)) || back&0x8000 != bits&0x8000 {
					t.Fatalf("%s NaN %#04x comes back as %#04x", f.name, bits, back)
				}
				continue
			}
			if back != bits {
				t.Fatalf("%s %#04x comes back as %#04x", f.name, bits, back)
			}
		}
	}
}

// nearest rounds by search: of the two neighbouring finite values the nearer,
// of two equally near the one whose last bit is 0. What is not nearer to the
// largest finite value than to one step beyond it is infinite.
type nearest struct {
	f      format
	values []float64 // non-negative finite, ascending; the index is the pattern
	beyond float64   // half a step beyond the largest
}

func newNearest(f format) nearest {
	n := nearest{f: f}
	for i := 0; !math.IsInf(f.value(uint16(i)), 1); i++ {
		n.values = append(n.values, f.value(uint16(i)))
	}
	last := len(n.values) - 1
	n.beyond = n.values[last] + (n.values[last]-n.values[last-1])/2
	return n
}

func (n nearest) round(x float32) uint16 {
	v, sign := math.Abs(float64(x)), uint16(0)
	if math.Signbit(float64(x)) {
		sign = 0x8000
	}
	if v >= n.beyond {
		return sign | uint16(len(n.values))
	}
	above := sort.SearchFloat64s(n.values, v)
	if above == 0 {
		return sign
	}
	if above == len(n.values) {
		return sign | uint16(above-1)
	}
	down, up := v-n.values[above-1], n.values[above]-v // exact in float64
	if up < down || up == down && above%2 == 0 {
		return sign | uint16(above)
	}
	return sign | uint16(above-1)
}

func TestNarrowAgainstSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, f := range formats {
		n := newNearest(f)
		check := func(x float32) {
			if math.IsNaN(float64(x)) {
				return
			}
			if got, want := f.narrow(x), n.round(x); got != want {
				t.Fatalf("%s of %g (%#08x): got %#04x, want %#04x", f.name, x, math.Float32bits(x), got, want)
			}
		}
		both := func(x float32) { check(x); check(-x) }
		for i, v := range n.values { // every value, every tie, and both sides of each
			next := n.beyond*2 - v
			if i+1 < len(n.values) {
				next = n.values[i+1]
			}
			for _, x := range []float32{float32(v), float32((v + next) / 2)} {
				both(x)
				both(math.Nextafter32(x, 0))
				both(math.Nextafter32(x, float32(math.Inf(1))))
			}
		}
		for range 500000 { // all magnitudes, and those around the format's range
			check(math.Float32frombits(rng.Uint32()))
			check(float32(rng.NormFloat64()))
			check(float32(math.Ldexp(rng.Float64(), -20+rng.IntN(40))))
		}
		both(0)
		both(float32(math.Inf(1)))
		both(math.MaxFloat32)
		both(math.SmallestNonzeroFloat32)
	}
}

func TestNarrowKnownValues(t *testing.T) {
	inf, negZero := float32(math.Inf(1)), float32(math.Copysign(0, -1))
	for _, c := range []struct {
		x          float32
		bf16, fp16 uint16
	}{
		{1, 0x3f80, 0x3c00},
		{-2, 0xc000, 0xc000},
		{negZero, 0x8000, 0x8000},
		{inf, 0x7f80, 0x7c00},
		{-inf, 0xff80, 0xfc00},
		{1 + 1.0/256, 0x3f80, 0x3c04},     // a tie of bfloat16 goes to the even 1
		{1 + 3.0/256, 0x3f82, 0x3c0c},     // and this one up to the even 1 + 4/256
		{1 + 1.0/2048, 0x3f80, 0x3c00},    // a tie of float16
		{1 + 3.0/2048, 0x3f80, 0x3c02},    // and its neighbour
		{65504, 0x4780, 0x7bff},           // the largest float16
		{65519.996, 0x4780, 0x7bff},       // below half a step beyond
		{65520, 0x4780, 0x7c00},           // a tie with infinity, which is even
		{math.MaxFloat32, 0x7f80, 0x7c00}, // beyond bfloat16 too
		{0x1p-14, 0x3880, 0x0400},         // the least normal float16
		{0x1p-24, 0x3380, 0x0001},         // the least subnormal
		{0x1p-25, 0x3300, 0x0000},         // a tie with zero, which is even
		{0x1.000002p-25, 0x3300, 0x0001},  // and just above
		{0x1.ffcp-15, 0x3880, 0x0400},     // the largest subnormal and a half: up to normal
		{-0x1.8p-24, 0xb3c0, 0x8002},      // a tie between subnormals
		{0x1p-133, 0x0001, 0x0000},        // the least subnormal bfloat16
		{0x1p-134, 0x0000, 0x0000},        // half of it
		{0x1.8p-133, 0x0002, 0x0000},      // one and a half
		{0x1.fep-127, 0x0080, 0x0000},     // up to the least normal bfloat16
		{3.3895314e38, 0x7f7f, 0x7c00},    // the largest bfloat16
		{0x1.fefffep127, 0x7f7f, 0x7c00},  // below half a step beyond
		{0x1.ffp127, 0x7f80, 0x7c00},      // at it
		{-0x1.ffp127, 0xff80, 0xfc00},     // on the other side
		{math.Float32frombits(1), 0, 0},   // the least float32
		{-math.Float32frombits(1), 0x8000, 0x8000},
	} {
		if got := BFloat16FromFloat32(c.x); got != c.bf16 {
			t.Errorf("bfloat16 of %g: got %#04x, want %#04x", c.x, got, c.bf16)
		}
		if got := Float16FromFloat32(c.x); got != c.fp16 {
			t.Errorf("float16 of %g: got %#04x, want %#04x", c.x, got, c.fp16)
		}
	}
}

// A NaN whose payload lies in the lost bits only must not become an infinity.
func TestNarrowNaN(t *testing.T) {
	for _, bits := range []uint32{0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff, 0x7fc00000, 0x7f801fff, 0x7f80ffff, 0x7fbfffff, 0xff900000} {
		x := math.Float32frombits(bits)
		for _, f := range formats {
			h := f.narrow(x)
			if back := f.widen(h); !math.IsNaN(float64(back)) {
				t.Errorf("%s of NaN %#08x: %#04x, which is %g", f.name, bits, h, back)
			}
			if uint32(h>>15) != bits>>31 {
				t.Errorf("%s of NaN %#08x: %#04x changes the sign", f.name, bits, h)
			}
		}
	}
}
