package data

import (
	"math/bits"

	"gonum.org/v1/gonum/mathext/prng"
)

// mersenne is MT19937 with the seedings and draws of Python's random and
// NumPy's legacy generator, on which the reference's batch order rests.
type mersenne struct{ mt *prng.MT19937 }

// numpySeed returns the generator after numpy.random.seed(seed).
func numpySeed(seed uint32) mersenne {
	mt := prng.NewMT19937()
	mt.Seed(uint64(seed))
	return mersenne{mt}
}

// pythonSeed returns the generator after random.seed(seed), which takes an
// integer's 32-bit digits as the key of the array initialisation.
func pythonSeed(seed uint32) mersenne {
	mt := prng.NewMT19937()
	mt.SeedFromKeys([]uint32{seed})
	return mersenne{mt}
}

// uint32 draws 32 bits. It is also numpy.random.randint(0, 2**32), whose
// rejection of draws outside the range never happens for this one.
func (m mersenne) uint32() uint32 { return m.mt.Uint32() }

// below draws an integer below n as Python's _randbelow does: as many bits as n
// has, again until it fits.
func (m mersenne) below(n int) int {
	shift := 32 - bits.Len(uint(n))
	for {
		if r := int(m.uint32() >> shift); r < n {
			return r
		}
	}
}

// shuffle permutes like random.shuffle.
func (m mersenne) shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, m.below(i+1))
	}
}
