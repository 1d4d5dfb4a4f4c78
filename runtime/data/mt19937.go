package data

// mersenne is the MT19937 generator of Matsumoto and Nishimura (1998) with the
// seedings and draws of Python's random and NumPy's RandomState, on which the
// reference's batch order rests.
type mersenne struct {
	state [624]uint32
	at    int
}

// numpySeed returns the generator after numpy.random.seed(seed).
func numpySeed(seed uint32) *mersenne {
	m := &mersenne{at: 624}
	m.state[0] = seed
	for i := 1; i < 624; i++ {
		m.state[i] = 1812433253*(m.state[i-1]^m.state[i-1]>>30) + uint32(i)
	}
	return m
}

// pythonSeed returns the generator after random.seed(seed): the integer's
// 32-bit digits are the key of the array initialisation.
func pythonSeed(seed uint64) *mersenne {
	key := []uint32{uint32(seed)}
	if high := uint32(seed >> 32); high != 0 {
		key = append(key, high)
	}
	m := numpySeed(19650218)
	i, j := 1, 0
	next := func() {
		if i++; i == 624 {
			m.state[0] = m.state[623]
			i = 1
		}
	}
	for range max(624, len(key)) {
		m.state[i] = (m.state[i] ^ (m.state[i-1]^m.state[i-1]>>30)*1664525) + key[j] + uint32(j)
		if j++; j == len(key) {
			j = 0
		}
		next()
	}
	for range 623 {
		m.state[i] = (m.state[i] ^ (m.state[i-1]^m.state[i-1]>>30)*1566083941) - uint32(i)
		next()
	}
	m.state[0] = 1 << 31
	return m
}

// uint32 draws 32 bits.
func (m *mersenne) uint32() uint32 {
	if m.at == 624 {
		for i := range m.state {
			y := m.state[i]&(1<<31) | m.state[(i+1)%624]&(1<<31-1)
			m.state[i] = m.state[(i+397)%624] ^ y>>1 ^ -(y&1)&0x9908b0df
		}
		m.at = 0
	}
	y := m.state[m.at]
	m.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// below draws an integer below n as Python's _randbelow does: as many bits as n
// has, again until it fits.
func (m *mersenne) below(n int) int {
	bits := 0
	for v := n; v > 0; v >>= 1 {
		bits++
	}
	for {
		if r := int(m.uint32() >> (32 - bits)); r < n {
			return r
		}
	}
}

// shuffle permutes like random.shuffle.
func (m *mersenne) shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, m.below(i+1))
	}
}
