package jupyter

import (
	"context"
	"encoding/json"
	"runtime/pprof"
	"strconv"
	"sync"
	"unsafe"
)

// execution is a cell that runs or has run.
type execution struct {
	request   *request
	code      string
	name      string // "cell 3"
	count     int
	silent    bool
	mayAsk    bool   // the front end answers input_request
	notebook  string // the notebook's own name for the cell, where it has one
	shown     string // text of the value that was shown, for the history
	payload   []any
	displayed bool // a result has been published
	private   bool // an expression of the front end, whose value is not published
	value     map[string]any
}

// parent is the header that the output of a cell carries.
func (e *execution) parent() json.RawMessage {
	if e == nil {
		return nil
	}
	return e.request.rawHeader
}

// goroutineLabels returns what identifies the labels of the calling goroutine.
// Goroutines inherit them, so all that a cell starts, directly or not, compiled
// or interpreted, has the cell's own. Setting labels is public
// ([pprof.SetGoroutineLabels]); reading them is not, and the one public way,
// the header that [runtime.Stack] prints, takes 50 µs for each line a cell
// writes instead of 3 ns. The Go project keeps this symbol for such uses
// (go.dev/issue/67401).
//
//go:linkname goroutineLabels runtime/pprof.runtime_getProfLabel
func goroutineLabels() unsafe.Pointer

// maxOrigins is how many cells' goroutines are told apart.
const maxOrigins = 1024

// origins knows which cell a goroutine belongs to.
type origins struct {
	mu    sync.Mutex
	of    map[unsafe.Pointer]*execution // the pointers keep the labels alive, so none is used twice
	order []unsafe.Pointer
}

// mark makes the calling goroutine, and all that it starts, belong to a cell.
func (o *origins) mark(e *execution) {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("cell", strconv.Itoa(e.count))))
	at := goroutineLabels()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = map[unsafe.Pointer]*execution{}
	}
	o.of[at] = e
	o.order = append(o.order, at)
	if len(o.order) > maxOrigins {
		delete(o.of, o.order[0])
		o.order = o.order[1:]
	}
}

// of is the cell that the calling goroutine belongs to, or nil.
func (o *origins) find() *execution {
	at := goroutineLabels()
	if at == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of[at]
}

// origin is the cell that the caller's output belongs to: the one that started
// its goroutine, and if that is not known the one that runs or ran last.
func (k *Kernel) origin() *execution {
	if e := k.origins.find(); e != nil {
		return e
	}
	return k.current.Load()
}
