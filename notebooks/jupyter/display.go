package jupyter

import (
	"sync"

	"dpolab/stdlib/display"
)

// displays knows which cell shows each display that can change.
type displays struct {
	mu sync.Mutex
	by map[string]*execution
}

// connectDisplay makes what cells and compiled packages show appear below the
// cell.
func (k *Kernel) connectDisplay() {
	display.SetBackend(display.Backend{Show: k.display, Update: k.update, Settle: k.settleDisplay, Clear: k.clear, Input: k.ask})
}

func (k *Kernel) disconnectDisplay() { display.SetBackend(display.Backend{}) }

// displayContent is that of display_data and update_display_data.
type displayContent struct {
	Data      map[string]any    `json:"data"`
	Metadata  struct{}          `json:"metadata"`
	Transient map[string]string `json:"transient"`
}

// display shows a bundle.
func (k *Kernel) display(bundle map[string]string) {
	k.publishDisplay(k.origin(), "display_data", bundle, map[string]string{})
}

// update shows a bundle in the place of what id showed before. A cell that is
// executed again begins anew: the notebook has removed what it showed.
func (k *Kernel) update(id string, bundle map[string]string) {
	e := k.origin()
	k.displays.mu.Lock()
	if k.displays.by == nil {
		k.displays.by = map[string]*execution{}
	}
	kind := "update_display_data"
	if by, shown := k.displays.by[id]; !shown || by != e && sameCell(by, e) {
		kind = "display_data"
		k.displays.by[id] = e
	}
	k.displays.mu.Unlock()
	k.publishDisplay(e, kind, bundle, map[string]string{"display_id": id})
}

// settle says that a display will not change again.
func (k *Kernel) settleDisplay(id string) {
	k.displays.mu.Lock()
	defer k.displays.mu.Unlock()
	delete(k.displays.by, id)
}

// sameCell tells whether two executions are of one cell of the notebook.
func sameCell(a, b *execution) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.notebook != "" || b.notebook != "" {
		return a.notebook == b.notebook
	}
	return a.code == b.code
}

func (k *Kernel) publishDisplay(e *execution, kind string, bundle, transient map[string]string) {
	if e != nil && e.silent {
		return
	}
	k.settle()
	k.send(outgoing{kind: kind, parent: e.parent(), content: displayContent{Data: decode(bundle), Transient: transient}}, kind == "update_display_data")
}

// clear removes what the cell has shown; with wait, when it next shows
// something.
func (k *Kernel) clear(wait bool) {
	e := k.origin()
	if e != nil && e.silent {
		return
	}
	k.settle()
	k.publish(e.parent(), "clear_output", struct {
		Wait bool `json:"wait"`
	}{wait})
}
