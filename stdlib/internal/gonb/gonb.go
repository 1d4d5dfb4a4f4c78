// Package gonb shows rich output in a GoNB notebook, where each cell is compiled
// to a program of its own that talks to the kernel through pipes. In any other
// program it does nothing.
//
//	if gonb.Enabled() {
//		gonb.Show(map[string]string{"image/svg+xml": svg, "text/plain": text})
//	}
//	gonb.Sync() // before the program ends: what is in the pipes is not lost
//
// A bundle is text by MIME type; images that are not text are in base64.
package gonb

import (
	"time"

	"github.com/janpfeifer/gonb/gonbui"
	"github.com/janpfeifer/gonb/gonbui/protocol"
)

// Enabled reports whether the program runs as a cell, and the kernel listens.
func Enabled() bool { return gonbui.IsNotebook && gonbui.Error() == nil }

// Show displays a bundle below the cell.
func Show(bundle map[string]string) { send("", bundle) }

// Update displays a bundle, in the place of what the same id showed before.
func Update(id string, bundle map[string]string) { send(id, bundle) }

// Ask shows a field to type a line into, which arrives on standard input.
func Ask(prompt string, password bool) { gonbui.RequestInput(prompt, password) }

func send(id string, bundle map[string]string) {
	if !Enabled() {
		return
	}
	data := map[protocol.MIMEType]any{}
	for mime, text := range bundle {
		data[protocol.MIMEType(mime)] = text
	}
	gonbui.SendData(&protocol.DisplayData{Data: data, DisplayID: id})
}

// patience is how long Sync waits for a kernel that may be gone.
const patience = 5 * time.Second

// Sync waits until the kernel has everything that was sent.
func Sync() {
	if !Enabled() {
		return
	}
	done := make(chan struct{})
	go func() {
		gonbui.Sync()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}
