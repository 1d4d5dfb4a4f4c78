// Package terminal is the session at a prompt: lines are read until they are
// complete Go, run, and answered with the value of the last expression.
//
//	>>> x := []float64{3, 1, 2}
//	>>> slices.Sort(x)
//	>>> x
//	[]float64{1, 2, 3}
//
// Tab completes packages, members, variables, file names and configuration
// keys. A line that begins with ? or ends with it asks for documentation, one
// that begins with % is a command; %help lists them. Ctrl-C stops the running
// cell, a second one leaves behind a call that cannot stop; Ctrl-D ends the
// session.
//
// Entries of several lines are one entry of the history. While a line is
// edited, ⏎ and ⇥ stand for the newlines and tabs of pasted or recalled text.
//
// With standard input from a file or pipe nothing is prompted or echoed, and
// the exit status says whether a cell failed.
package terminal
