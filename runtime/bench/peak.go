package bench

// #cgo CFLAGS: -O3
// #include "peak.h"
import "C"

import (
	"sync"
	"time"
)

// peakFlops measures the multiply-adds that threads do per second, in floating
// operations: the ceiling that a product kernel's speed is a share of.
func peakFlops(threads int) (flops, seconds float64) {
	const rounds = 20_000_000
	C.bench_fma_flops(rounds / 100) // wakes the clock
	start := time.Now()
	var wg sync.WaitGroup
	each := make([]float64, threads)
	for i := range each {
		wg.Add(1)
		go func() {
			defer wg.Done()
			each[i] = float64(C.bench_fma_flops(rounds))
		}()
	}
	wg.Wait()
	seconds = time.Since(start).Seconds()
	for _, f := range each {
		flops += f
	}
	return flops, seconds
}
