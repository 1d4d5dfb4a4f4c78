// Package plot draws figures in short calls for cells and scripts: lines,
// points, bars, histograms and heat maps, as SVG, as PNG or with characters.
//
//	f := plot.New("learning rate")
//	f.Line("warm-up", steps, rates).XLabel("step").YLabel("lr").LogY()
//	f.Save("lr.svg")     // or .png
//	fmt.Println(f)       // braille characters, for a terminal
//
// Figures stand side by side in a [Grid]:
//
//	plot.Grid(2, loss, margins).Save("run.png")
//
// A series that is given again under its name replaces the old one, so a cell
// may be run twice. One name has one colour in all panels of a figure, and the
// legend above them names it once. Colours are told apart with any colour
// vision; those of a heat map also grow lighter steadily.
//
// Values that are not numbers leave a gap, and so do those of zero or less on a
// logarithmic axis. The same figure always gives the same bytes.
//
// # Themes
//
// [Light] is the default, [Dark] is for dark notebooks. [SetTheme] changes what
// figures without a theme of their own are drawn in.
//
// # Notebooks
//
// A figure is an image as the last value of a cell, and wherever [Figure.Show]
// is called: SVG, with its text beside it.
//
// # Errors
//
// What fails panics with *[Error], in one line: the call, what was expected,
// what was found.
package plot
