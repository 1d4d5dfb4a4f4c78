// Package zmtp is the server's side of the ZeroMQ Message Transport Protocol
// 3.0 (https://rfc.zeromq.org/spec/23), as much of it as a Jupyter kernel needs:
// sockets of the kinds ROUTER, XPUB and REP that listen, the NULL mechanism, and
// the transports tcp and ipc.
//
//	r, err := zmtp.Listen(zmtp.Router, "tcp://127.0.0.1:0", zmtp.Handler{
//		Receive: func(p *zmtp.Peer, m zmtp.Message) { p.Send(m, false) },
//	})
//	defer r.Close(time.Second)
//
// A [Message] is a list of frames. What arrives is given to the handler on the
// goroutine of its connection, so messages of one peer stay in order and a
// handler that blocks makes that peer wait, and no other.
//
// # Sending
//
// [Peer.Send] never blocks: each connection has a queue and a goroutine that
// empties it. A peer that reads slowly delays nobody else. When its queue is
// full, messages that may be lost are dropped; if it goes on without reading,
// the connection is closed, as it would be with a peer that is gone. Whoever
// produces without end asks [Socket.Ready] before the next message: it waits for
// slow readers, though not for those that have stopped.
//
// Close lingers until the queues are empty, so the last message before a process
// ends arrives.
//
// # Why not a library
//
// github.com/go-zeromq/zmq4 lacks what a kernel cannot do without: its
// publisher writes to all subscribers in turn, so one that has stopped reading
// stops the output of a cell for everyone; it does not linger, so the reply to a
// shutdown is lost; it does not say who has subscribed, which iopub_welcome is
// the answer to; and its router blocks when nobody is connected. The libraries
// that bind libzmq need it installed, in the right version, wherever the one
// binary should run.
package zmtp
