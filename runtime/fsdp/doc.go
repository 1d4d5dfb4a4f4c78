// Package fsdp shards a model over ranks and chooses the precision it computes
// in: fully sharded data parallelism with mixed precision.
//
// The engine is FSDP2's: every parameter is cut along axis 0 into one run of
// rows per rank, keeps its name, and is gathered just before its block
// computes. The vocabulary is FSDP1's, which the reference DPO code and its
// users speak: [ShardingStrategy], wrapping by block class name, and
// [MixedPrecision] with a parameter, a reduction and a buffer type.
//
// # One step
//
//	forward   block:  cast shard to ParamDType → all-gather → compute → drop
//	backward  block:  all-gather → compute gradients → drop parameters
//	                  → reduce-scatter in ReduceDType → ÷ world size in float32
//	                  → add to the shard's float32 gradient
//	optimizer:        float32 master shards, gradients and state
//
// Parameters outside any block (embeddings, final norm, head) form the root
// group, which stays gathered between forward and backward. A parameter that
// is tied across groups belongs to the root and is never split.
//
// Where collectives run beside the computation (distributed's Overlaps), the
// next group's all-gather is started before a block computes, in both
// directions, and a block's reduce-scatter is completed only after the block
// before it has computed its gradients. One group ahead, one behind, no more;
// schedule.go has the rules. When things happen changes by it, what is computed
// does not. With Config.CPUOffload masters, gradients and optimizer state live
// on the host, which changes no bit either: a block's rows are uploaded ahead as
// they are gathered ahead, and its gradients come back behind as they are
// reduced behind (courier.go).
//
// # Precision
//
// The zero [MixedPrecision] is full precision. Master parameters stay as they
// were loaded, in float32 for a policy, so that [Model.SetMixedPrecision] can be
// called between any two steps: nothing is lost by switching to bfloat16 and
// back. Rotary tables keep float32 whatever BufferDType says.
//
// Gradients of one microbatch are collected directly in ReduceDType (float32
// when it is unset and ParamDType is, too); they are never rounded to
// ParamDType in between, which is the one place where this engine is more exact
// than PyTorch's.
//
// # Errors
//
// [FullyShard] returns an error for a block class that the model lacks, and
// lists the ones it has. Collective failures surface as
// [distributed.Aborted] panics, which distributed.World.Run turns into errors.
package fsdp
