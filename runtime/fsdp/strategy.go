package fsdp

import (
	"fmt"

	"dpolab/runtime/distributed"
)

// ShardingStrategy says how masters and gathered parameters are spread over the
// ranks, in FSDP1's words.
type ShardingStrategy uint8

const (
	// FullShard shards parameters, gradients and optimizer state over all
	// ranks and drops gathered parameters after each block (ZeRO-3).
	FullShard ShardingStrategy = iota
	// ShardGradOp shards likewise but keeps gathered parameters from forward
	// to backward: more memory, half the gathers (ZeRO-2).
	ShardGradOp
	// NoShard keeps everything on every rank and all-reduces gradients (DDP).
	NoShard
	// HybridShard shards within groups of ShardSize ranks and replicates
	// between groups.
	HybridShard
)

var strategyNames = [...]string{"FULL_SHARD", "SHARD_GRAD_OP", "NO_SHARD", "HYBRID_SHARD"}

// String returns FSDP1's name.
func (s ShardingStrategy) String() string {
	if int(s) < len(strategyNames) {
		return strategyNames[s]
	}
	return fmt.Sprintf("ShardingStrategy(%d)", uint8(s))
}

// ParseStrategy reads FSDP1's names.
func ParseStrategy(name string) (ShardingStrategy, error) {
	for i, n := range strategyNames {
		if n == name {
			return ShardingStrategy(i), nil
		}
	}
	return 0, fmt.Errorf("fsdp: unknown sharding strategy %q, want one of %v", name, strategyNames)
}

// Mesh is the two-dimensional arrangement of ranks that a model is sharded on:
// one master copy is spread over Shard, and Replicate holds copies of it.
type Mesh struct {
	Shard, Replicate distributed.ProcessGroup
	world            int
}

// NewMesh arranges the ranks of r's world for a strategy. shardSize matters to
// HybridShard only and must divide the number of ranks.
func NewMesh(r *distributed.Rank, s ShardingStrategy, shardSize int) (*Mesh, error) {
	size := r.Size
	switch s {
	case NoShard:
		size = 1
	case HybridShard:
		if shardSize < 1 || r.Size%shardSize != 0 {
			return nil, fmt.Errorf("fsdp: HYBRID_SHARD over %d ranks: the shard size must divide them, got %d", r.Size, shardSize)
		}
		size = shardSize
	}
	var shard, replicate []int
	first := r.Rank - r.Rank%size
	for i := 0; i < size; i++ {
		shard = append(shard, first+i)
	}
	for i := r.Rank % size; i < r.Size; i += size {
		replicate = append(replicate, i)
	}
	return &Mesh{Shard: r.Subgroup(shard), Replicate: r.Subgroup(replicate), world: r.Size}, nil
}
