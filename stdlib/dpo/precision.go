package dpo

import (
	"dpolab/kernels/dtype"
	"dpolab/runtime/fsdp"
)

// DType is an element type.
type DType = dtype.DType

// The types that weights, computation and communication may have.
const (
	Float32  = dtype.Float32
	BFloat16 = dtype.BFloat16
	Float16  = dtype.Float16
)

// MixedPrecision says in which types a model computes (ParamDType), sums
// gradients over ranks (ReduceDType) and keeps its buffers (BufferDType).
// Master weights, accumulated gradients and optimizer state are float32
// whatever it says, so it can be changed between any two steps.
type MixedPrecision = fsdp.MixedPrecision

// FullPrecision computes in the master weights' own type.
func FullPrecision() MixedPrecision { return fsdp.FullPrecision() }

// BFloat16Mixed computes in bfloat16 and sums gradients in float32: the
// recommended setting.
func BFloat16Mixed() MixedPrecision { return fsdp.BFloat16Mixed() }

// Float16Mixed computes in float16 and sums gradients in float32; trainers
// scale the loss by themselves.
func Float16Mixed() MixedPrecision { return fsdp.Float16Mixed() }

// Uniform uses one type for all three, as the reference DPO code's
// model.fsdp_policy_mp does.
func Uniform(dt DType) MixedPrecision {
	mp := fsdp.Uniform(dt)
	check("Uniform", mp.Validate())
	return mp
}

// ShardingStrategy says what of a model is spread over the ranks, in FSDP's
// words.
type ShardingStrategy = fsdp.ShardingStrategy

const (
	// FullShard spreads parameters, gradients and optimizer state (ZeRO-3).
	FullShard = fsdp.FullShard
	// ShardGradOp keeps gathered parameters from forward to backward (ZeRO-2).
	ShardGradOp = fsdp.ShardGradOp
	// NoShard keeps all of it on every rank (DDP).
	NoShard = fsdp.NoShard
	// HybridShard spreads within groups of ShardSize ranks.
	HybridShard = fsdp.HybridShard
)
