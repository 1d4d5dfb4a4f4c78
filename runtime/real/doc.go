// Package real holds only tests: the product's main job on a real checkpoint
// and real preference data. They run when DPOLAB_REAL_MODEL names a Hugging
// Face directory (make test-real sees to it) and Anthropic HH is at hand.
package real
