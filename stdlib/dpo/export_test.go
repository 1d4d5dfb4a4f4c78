package dpo

// LimitMemory makes every open rank's allocator fail beyond that many bytes; 0
// lifts the limit.
func LimitMemory(bytes int64) {
	for _, w := range session.worlds {
		for i := range w.Size() {
			w.Device(i).Backend().(interface{ SetLimit(bytes int64) }).SetLimit(bytes)
		}
	}
}
