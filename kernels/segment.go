package kernels

// Segment says what one run of rows in a packed batch may attend to. Query row
// QueryStart+j sees every key in [PrefixStart, PrefixEnd) and the keys of
// [KeyStart, KeyEnd) up to the causal diagonal, aligned at the bottom right:
// the last query sees the last key. In training the key range equals the
// query range; with a KV cache there are fewer queries than keys.
//
// A preference pair is three segments: the prompt, then the chosen and the
// rejected response, each with the prompt as its prefix. No response row ever
// sees the other response, so the prompt is computed once for both
// (arXiv 2410.20305).
type Segment struct {
	QueryStart, QueryEnd   int32
	KeyStart, KeyEnd       int32
	PrefixStart, PrefixEnd int32
}

// Queries is the number of query rows.
func (s Segment) Queries() int { return int(s.QueryEnd - s.QueryStart) }

// Causal returns the segment of a plain causal sequence in rows [start, end).
func Causal(start, end int) Segment {
	s, e := int32(start), int32(end)
	return Segment{QueryStart: s, QueryEnd: e, KeyStart: s, KeyEnd: e}
}

// After returns the segment of rows [start, end) that continue the prefix
// [prefixStart, prefixEnd).
func After(prefixStart, prefixEnd, start, end int) Segment {
	s := Causal(start, end)
	s.PrefixStart, s.PrefixEnd = int32(prefixStart), int32(prefixEnd)
	return s
}
