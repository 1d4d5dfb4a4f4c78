// Package session keeps arrays and a small state in files that processes map
// into memory one after another, so that a process goes on where the last one
// stopped without reading anything.
//
//	s, err := session.Open(dir)              // takes the lock
//	if s.State() == nil {
//		err = s.Create("weights", entries)   // a new session
//	}
//	m := s.Memory("weights")                 // tensors live here
//	err = s.Begin()                          // before the arrays are changed
//	...
//	err = s.Commit(state)                    // the change is complete
//	err = s.Close()
//
// # What is promised
//
// Between [Store.Begin] and [Store.Commit] lies a step. Whatever ends the
// process (kill -9, a panic, the system short of memory), the next [Open] finds
// the arrays and the state as they were at the last complete Commit, all of one
// moment. The same holds when the machine is shut down and started again.
//
// When the machine itself fails (power, kernel), what its disk holds may be
// older than memory was and of several moments. Open compares checksums after
// every start of the machine: it goes back to the state before if that one is
// whole, and otherwise returns [ErrTorn]. It never returns mixed arrays.
//
// One process holds a session at a time; a second one gets [ErrAttached], which
// says who holds it.
//
// # How it is kept
//
// Every array file exists twice, as areas 0 and 1. Arrays live in one of them;
// Begin copies it to the other and writes a record that names the copy, then
// the arrays may be changed in place, and Commit writes a record that names the
// changed area. A record is written over the older of two, with a number that
// grows and a checksum, so that there is a whole one at any moment, and the area
// it names is complete. The price of a step is one copy of the arrays in memory,
// and one pass for their checksum.
//
// The system writes changed pages to disk by itself. On a slow disk a large
// session is better kept in memory, on /dev/shm, where it lasts until the
// machine stops.
//
// # Errors
//
// Everything returns errors that name the session's directory. Using arrays
// after Close is an error of package tensor.
package session
