// Work on a list of tensors in one launch: a whole model's gradients or
// parameters, of which hundreds are a few kilobytes long.
//
// A table in device memory has a row for each tensor, with its addresses and
// `first`, the first block that works on it; tensors of no elements have no
// row. Each tensor is cut into pieces of a fixed length, one a block, whatever
// the others' lengths are, so neither the table's order nor the device changes
// a bit. A block finds its row by halving the table: ten reads of one address
// by all threads, from the cache.
#ifndef LISTS
#define LISTS
#include "prelude.cuh"

template <class Row> DEVICE const Row &row_of_block(const Row *rows, int count) {
	int low = 0, high = count - 1;
	while (low < high) {
		int middle = (low + high + 1) / 2;
		if (rows[middle].first <= (i64)blockIdx.x)
			low = middle;
		else
			high = middle - 1;
	}
	return rows[low];
}

// from_of and to_of bound the piece of a tensor of n elements that a block takes.
DEVICE i64 from_of(i64 first, i64 piece) { return ((i64)blockIdx.x - first) * piece; }
DEVICE i64 to_of(i64 from, i64 piece, i64 n) { return from + piece < n ? from + piece : n; }

#endif
