package tensor

// scope is the list of tensors made since it was opened.
type scope struct {
	tensors []*Tensor
}

// Scope runs fn and releases every tensor handle that fn made on d, except the
// one it returns, which passes to the enclosing scope or, outside any, to the
// caller. What the autograd graph still needs stays alive through the graph
// and goes when backward has used it. fn may return nil.
//
// Scopes are how memory is given back without a garbage collector: models open
// one around each block, trainers one around each step.
func (d *Device) Scope(fn func() *Tensor) *Tensor {
	depth := len(d.scopes)
	d.scopes = append(d.scopes, &scope{})
	var result *Tensor
	defer func() {
		// On a panic result is nil and everything made here is released.
		inner := d.scopes[depth:]
		d.scopes = d.scopes[:depth]
		made := false // here, so that it moves out; a tensor from outside stays where it is
		for _, s := range inner {
			for _, t := range s.tensors {
				t.scoped = false
				if t == result {
					made = true
					continue
				}
				t.Release()
			}
		}
		if made {
			d.adopt(result)
		}
	}()
	result = fn()
	return result
}

// adopt registers a new tensor with the innermost scope.
func (d *Device) adopt(t *Tensor) {
	if n := len(d.scopes); n > 0 {
		s := d.scopes[n-1]
		s.tensors = append(s.tensors, t)
		t.scoped = true
	}
}

// Keep takes t out of every open scope, so that it lives until Release. It
// returns t.
func (t *Tensor) Keep() *Tensor {
	if !t.scoped {
		return t
	}
	t.scoped = false
	for i := len(t.dev.scopes) - 1; i >= 0; i-- {
		s := t.dev.scopes[i]
		last := len(s.tensors) - 1
		for j := last; j >= 0; j-- { // what leaves a scope early mostly came late
			if s.tensors[j] == t {
				s.tensors[j], s.tensors[last] = s.tensors[last], nil
				s.tensors = s.tensors[:last]
				return t
			}
		}
	}
	return t
}

// Release gives up the handle: the memory goes when no view and no graph node
// holds it. Releasing twice does nothing; using a released tensor panics.
func (t *Tensor) Release() {
	if t.dead {
		return
	}
	t.Keep()
	t.dead = true
	if t.node != nil {
		t.node.release()
		t.node = nil
	}
	t.storage.release()
	t.dropGrad()
}

func (t *Tensor) dropGrad() {
	if t.grad != nil {
		t.grad.Release()
		t.grad = nil
	}
}
