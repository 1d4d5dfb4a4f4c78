package tensor

// RecordedOps returns the names of the operations in t's graph, for tests.
func RecordedOps(t *Tensor) map[string]bool {
	ops := map[string]bool{}
	seen := map[*node]bool{}
	var visit func(n *node)
	visit = func(n *node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		ops[n.op] = true
		for _, e := range n.inputs {
			visit(e.node)
		}
	}
	visit(t.node)
	return ops
}
