// What all attention kernels are told, and how they read it.
#ifndef SEGMENTS
#define SEGMENTS
#include "prelude.cuh"

// Segment is kernels.Segment: which keys a run of query rows sees.
struct Segment {
	int query_start, query_end, key_start, key_end, prefix_start, prefix_end;
};

// QueryTile is a block's rows: from first on, within one segment. Blocks with
// the most keys come first, so that the last to run are short.
struct QueryTile {
	int segment, first;
};

// KeyTile is a block's keys [first, end), all of which are seen by the same
// segments: entries [from, to) of the list of sights.
struct KeyTile {
	int first, end, from, to;
};

// Sight is a segment that sees a tile's keys, as its prefix or as its own.
struct Sight {
	int segment, prefix;
};

// Strides are a view of heads: element i of head h in row t is at
// t·row + h·head + i.
struct Strides {
	i64 row;
	int head, unused;
};

struct AttentionArgs {
	Array out, q, k, v;
	Array dout, dq, dk, dv; // of the gradient
	Strides out_at, q_at, k_at, v_at, dout_at, dq_at, dk_at, dv_at;
	float *lse, *delta; // [rows, heads]; delta is Σ out·dout
	const Segment *segments;
	const QueryTile *query_tiles;
	const KeyTile *key_tiles;
	const Sight *sights;
	const int *rows; // of attention_clear
	int heads, group, dim, delta_from_out; // group: query heads of one key-value head
	float scale;
	int unused;
};

DEVICE i64 at(const Strides &s, i64 row, int head) { return row * s.row + (i64)head * s.head; }

// diagonal is the last of a segment's own keys that query row t sees.
DEVICE int diagonal(const Segment &s, int t) { return s.key_end - (s.query_end - t); }

#endif
