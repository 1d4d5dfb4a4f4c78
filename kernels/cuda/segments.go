package cuda

import (
	"sort"
	"unsafe"

	"dpolab/kernels"
)

// The work lists of segments.cuh, made on the host for each call: a few bytes
// for each block.
type (
	queryTile struct{ segment, first int32 }
	keyTile   struct{ first, end, from, to int32 }
	sight     struct{ segment, prefix int32 }
)

// queryTiles cuts segments into tiles of so many rows. Those that see the most
// keys come first: the last blocks to run are then short ones.
func queryTiles(list []kernels.Segment, rows int) []queryTile {
	var out []queryTile
	for i, s := range list {
		for t := s.QueryStart; t < s.QueryEnd; t += int32(rows) {
			out = append(out, queryTile{int32(i), t})
		}
	}
	seen := func(t queryTile) int32 {
		s := list[t.segment]
		return s.PrefixEnd - s.PrefixStart + s.KeyEnd - s.KeyStart - (s.QueryEnd - min(t.first+int32(rows), s.QueryEnd))
	}
	sort.SliceStable(out, func(i, j int) bool { return seen(out[i]) > seen(out[j]) })
	return out
}

// keyTiles cuts the keys that segments see into tiles of so many, each seen by
// the same segments throughout, and lists for each who sees it. Tiles that the
// most queries see come first.
func keyTiles(list []kernels.Segment, keys int) ([]keyTile, []sight) {
	cut := map[int32]bool{}
	for _, s := range list {
		if s.Queries() == 0 {
			continue
		}
		for _, at := range []int32{s.KeyStart, s.KeyEnd, s.PrefixStart, s.PrefixEnd} {
			cut[at] = true
		}
	}
	var cuts []int32
	for at := range cut {
		cuts = append(cuts, at)
	}
	sort.Slice(cuts, func(i, j int) bool { return cuts[i] < cuts[j] })
	var (
		tiles  []keyTile
		sights []sight
		load   []int
	)
	for i := 1; i < len(cuts); i++ {
		lo, hi := cuts[i-1], cuts[i]
		from, queries := len(sights), 0
		for j, s := range list {
			if s.Queries() == 0 {
				continue
			}
			if s.PrefixStart <= lo && hi <= s.PrefixEnd {
				sights, queries = append(sights, sight{int32(j), 1}), queries+s.Queries()
			}
			if s.KeyStart <= lo && hi <= s.KeyEnd {
				sights, queries = append(sights, sight{int32(j), 0}), queries+s.Queries()
			}
		}
		if from == len(sights) {
			continue
		}
		for k := lo; k < hi; k += int32(keys) {
			tiles = append(tiles, keyTile{k, min(k+int32(keys), hi), int32(from), int32(len(sights))})
			load = append(load, queries)
		}
	}
	order := make([]int, len(tiles))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return load[order[i]] > load[order[j]] })
	sorted := make([]keyTile, len(tiles))
	for i, at := range order {
		sorted[i] = tiles[at]
	}
	return sorted, sights
}

// uncovered lists the query rows that are in no segment.
func uncovered(list []kernels.Segment, rows int) []int32 {
	in := make([]bool, rows)
	for _, s := range list {
		for t := s.QueryStart; t < s.QueryEnd; t++ {
			in[t] = true
		}
	}
	var out []int32
	for t, ok := range in {
		if !ok {
			out = append(out, int32(t))
		}
	}
	return out
}

// workList is the lists of one call in device memory.
type workList struct {
	memory                                     unsafe.Pointer
	segments, queries, keys, sights, uncovered uintptr
}

// upload copies the lists to the device, in one piece; the caller frees memory.
func (o *operations) upload(op string, list []kernels.Segment, queries []queryTile, keys []keyTile, sights []sight, rows []int32) workList {
	var (
		w    workList
		data []byte
	)
	add := func(to *uintptr, p unsafe.Pointer, n int, size uintptr) {
		*to = uintptr(len(data))
		data = append(data, unsafe.Slice((*byte)(p), n*int(size))...)
	}
	add(&w.segments, unsafe.Pointer(unsafe.SliceData(list)), len(list), unsafe.Sizeof(kernels.Segment{}))
	add(&w.queries, unsafe.Pointer(unsafe.SliceData(queries)), len(queries), unsafe.Sizeof(queryTile{}))
	add(&w.keys, unsafe.Pointer(unsafe.SliceData(keys)), len(keys), unsafe.Sizeof(keyTile{}))
	add(&w.sights, unsafe.Pointer(unsafe.SliceData(sights)), len(sights), unsafe.Sizeof(sight{}))
	add(&w.uncovered, unsafe.Pointer(unsafe.SliceData(rows)), len(rows), 4)
	w.memory = o.scratch(op, len(data))
	if len(data) > 0 {
		o.on.Upload(w.memory, data)
	}
	for _, at := range []*uintptr{&w.segments, &w.queries, &w.keys, &w.sights, &w.uncovered} {
		*at += uintptr(w.memory)
	}
	return w
}
