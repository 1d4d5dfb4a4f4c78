// Package rendezvous brings the processes of a job together: each learns its
// place from its launcher's environment, and meets the others at rank 0 over
// TCP to exchange what they need before they can talk by faster means, such as
// NCCL's identifier.
//
//	place, ok, err := rendezvous.FromEnvironment(os.Getenv)
//	g, err := rendezvous.Join(ctx, place)
//	defer g.Close()
//	id, err = g.Broadcast("nccl", id) // rank 0's bytes, on every rank
//
// The connections stay open. They carry a heartbeat, so that a process that
// dies or hangs is known to all others within seconds: Group.Failed is closed
// and Group.Err names the rank. A rank that fails by itself says why with
// Group.Fail before it leaves.
//
// # Messages
//
// All traffic goes through rank 0. Calls must be made by all ranks in the same
// order; each has a name, and ranks that meet under different names are told
// both. A connection that does not know the job's name is turned away, so a
// stray process of an earlier run cannot join.
//
// # Errors
//
// Errors name the rank, the call and the address: "rendezvous: rank 2: barrier
// start: rank 1 left: connection reset".
package rendezvous
