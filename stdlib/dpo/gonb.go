package dpo

import (
	"fmt"
	"html"
	"sync"
	"time"

	"dpolab/stdlib/internal/gonb"
)

// cellProgress shows progress below the cell of a GoNB notebook, in one display
// that stays with what was last said.
type cellProgress struct {
	mu    sync.Mutex
	id    string
	last  Progress
	start time.Time
	begun int // Done when it began
	drawn time.Time
}

// redraw is the least time between two updates: notebooks limit messages.
const redraw = 250 * time.Millisecond

var cell cellProgress

func (c *cellProgress) show(p Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if p.End {
		if c.id != "" {
			c.draw()
		}
		c.id = ""
		return
	}
	if c.id == "" || p.Title != c.last.Title {
		c.id, c.start, c.begun, c.drawn = gonb.NewID(), now, p.Done, time.Time{}
	}
	c.last = p
	if now.Sub(c.drawn) >= redraw {
		c.draw()
		c.drawn = now
	}
}

// draw sends the display; the lock is held.
func (c *cellProgress) draw() {
	p, text := c.last, c.last.Title
	page := html.EscapeString(p.Title)
	if p.Total > 0 {
		text += fmt.Sprintf("  %d of %d", p.Done, p.Total)
		page += fmt.Sprintf(` <progress value="%d" max="%d"></progress> %d of %d`, p.Done, p.Total, p.Done, p.Total)
	}
	if done := p.Done - c.begun; done > 0 {
		rate := float64(done) / time.Since(c.start).Seconds()
		speed := fmt.Sprintf("%.3g/s", rate)
		if left := p.Total - p.Done; left > 0 {
			speed += fmt.Sprintf(", %s left", (time.Duration(float64(left)/rate) * time.Second).Round(time.Second))
		}
		text, page = text+"  "+speed, page+" · "+speed
	}
	if p.Text != "" {
		text, page = text+"  "+p.Text, page+" · "+html.EscapeString(p.Text)
	}
	gonb.Update(c.id, map[string]string{"text/html": "<div><code>" + page + "</code></div>", "text/plain": text})
}
