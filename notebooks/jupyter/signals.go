package jupyter

import (
	"os"
	"os/signal"
)

// watchSignals makes Ctrl-C in the terminal of a console stop the cell, as the
// front end's own interrupt does. What ends the process ends the context of
// Run.
func (k *Kernel) watchSignals() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-signals:
				k.interrupt()
			case <-k.stop:
				return
			}
		}
	}()
}
