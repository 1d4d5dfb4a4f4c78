package plot

import "dpolab/stdlib/display"

// Show displays the figure where the program runs: as an image below the cell of
// a notebook, with characters in a terminal.
func (f *Figure) Show() {
	if display.Rich() {
		display.Show(f.MIME())
	} else {
		display.Text(f.String())
	}
}
