// Package jupyter is dpolab's Jupyter kernel: the session engine of package
// repl behind Jupyter's messaging protocol 5.5.
//
//	dpolab kernel install             once; Jupyter then offers "Go (dpolab)"
//	dpolab kernel run CONNECTION_FILE what Jupyter starts
//
// [Run] serves the five channels that a [Connection] file names; [Install]
// writes the kernel's specification.
//
// # Who does what
//
// Each connection of each channel has a goroutine that reads, checks signatures
// and calls a handler. One goroutine executes cells, from a queue. Everything
// else is answered where it arrives, so completion, inspection, comms and
// history answer while a cell trains, the heartbeat always does, and
// interrupt_request on the control channel reaches the cell at once. Each
// request is answered between its own states busy and idle.
//
// # Output
//
// What a cell prints is gathered for 50 ms, or 256 KB, and sent as one stream
// message, in the order written and before anything the cell shows afterwards.
// Cells print through the session's writers; what compiled packages, C code and
// child processes write to file descriptors 1 and 2 is captured there. Output of
// a goroutine goes below the cell that started it, directly or not, for as long
// as it runs; of what arrives through a file descriptor only the time is known,
// so it goes below the cell that runs or ran last.
//
// A front end that reads slowly makes printing cells wait. One that has stopped
// reading is not waited for: it loses output, and nobody else does.
//
// # Interrupts and failures
//
// An interrupt stops the cell and keeps the session; a second one leaves behind
// a call that cannot stop. A cell that fails aborts those that were sent before
// its failure was known, if it was sent with stop_on_error. The kernel ends when
// it is told to, on SIGTERM, and when the server that started it has died.
//
// # Decisions
//
// 2026-11: sockets are those of package internal/zmtp and not of a ZeroMQ
// library, for the reasons given there. Subshells are not offered: what they
// exist for, answers while a cell runs, is how this kernel works.
package jupyter
