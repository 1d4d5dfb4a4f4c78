package cpu

import "testing"

// TestCut checks that a product's parts cover its tiles once each, and that
// those of a product large enough are shared out evenly.
func TestCut(t *testing.T) {
	const mr, nr = 6, 16
	for _, threads := range []int{1, 2, 3, 16} {
		for _, s := range [][3]int{{1, 1, 1}, {6, 16, 10}, {7, 17, 600}, {256, 1024, 2048}, {1024, 256, 2048}, {2048, 768, 256}, {5, 50304, 768}, {4096, 33, 100}, {100, 5000, 9000}} {
			m, n, depth := s[0], s[1], s[2]
			p := cut(m, n, depth, threads, mr, nr)
			seen := make([]int, p.tiles*p.panels)
			for i := range p.count() {
				i0, i1, j0, j1 := p.at(i)
				if i0%mr != 0 || j0%nr != 0 || i1 < i0 || j1 < j0 {
					t.Fatalf("%v, %d threads: part %d: rows [%d, %d), columns [%d, %d)", s, threads, i, i0, i1, j0, j1)
				}
				for r := i0 / mr; r < i1/mr; r++ {
					for c := j0 / nr; c < j1/nr; c++ {
						seen[r*p.panels+c]++
					}
				}
			}
			for i, times := range seen {
				if times != 1 {
					t.Fatalf("%v, %d threads: tile %d,%d computed %d times", s, threads, i/p.panels, i%p.panels, times)
				}
			}
			if i0, i1, j0, j1 := p.at(0); p.ends > 0 {
				e0, e1, f0, f1 := p.at(p.count() - 1)
				if whole, end := (i1-i0)*(j1-j0), (e1-e0)*(f1-f0); 2*end > whole {
					t.Errorf("%v, %d threads: the last part has %d elements, the first %d", s, threads, end, whole)
				}
			}
			if threads > 1 && m*n > 1<<17 && p.count() < 2*threads {
				t.Errorf("%v, %d threads: %d parts", s, threads, p.count())
			}
		}
	}
}
