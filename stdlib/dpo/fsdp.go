package dpo

import (
	"os"
	"path/filepath"

	"dpolab/kernels/device"
	"dpolab/runtime/fsdp"
)

// FSDPConfig says how FSDP wraps a model.
type FSDPConfig struct {
	// Devices are the ranks: "cpu:2" for two on the CPU, "cuda:0,1", "cuda:all",
	// "cuda:0,0" for two that share a GPU.
	Devices  string
	Strategy ShardingStrategy
	// BlockName is the class that is wrapped on its own, such as
	// "LlamaDecoderLayer"; empty takes the model's repeated block.
	BlockName      string
	ShardSize      int // ranks that share one copy under HybridShard
	MixedPrecision MixedPrecision
	// ActivationCheckpointing computes each block again in backward rather than
	// keep its activations.
	ActivationCheckpointing bool
	// CPUOffload keeps masters, their gradients and the optimizer's state in
	// host memory.
	CPUOffload bool
	// Threads of each CPU rank; 0 divides the processors that the process may use.
	Threads int
}

// DefaultFSDPConfig is FULL_SHARD in full precision over two CPU ranks, one
// where the process may use one processor. The words devices=LIST, threads=N and
// model.fsdp_policy_mp=TYPE override devices, threads and precision; as in the
// reference DPO code the latter sets all three types.
func DefaultFSDPConfig() FSDPConfig {
	devices := "cpu:2"
	if n, _ := device.Processors(); n < 2 {
		devices = "cpu:1"
	}
	c := FSDPConfig{Devices: StringSetting("devices", devices), Threads: IntSetting("threads", 0)}
	if c.Threads < 0 {
		refuse("DefaultFSDPConfig", "threads=0 or more", "%d", c.Threads)
	}
	switch name := StringSetting("model.fsdp_policy_mp", ""); name {
	case "":
	case "bfloat16":
		c.MixedPrecision = Uniform(BFloat16)
	case "float16":
		c.MixedPrecision = Uniform(Float16)
	default:
		refuse("DefaultFSDPConfig", "model.fsdp_policy_mp=bfloat16 or float16", "%s", name)
	}
	return c
}

func (c FSDPConfig) runtime(m *Model) fsdp.Config {
	block := c.BlockName
	if block == "" {
		block = m.config.BlockName
	}
	return fsdp.Config{BlockName: block, Strategy: c.Strategy, ShardSize: c.ShardSize, MixedPrecision: c.MixedPrecision,
		CPUOffload: c.CPUOffload, ActivationCheckpointing: c.ActivationCheckpointing}
}

// FSDP spreads a model over the ranks of cfg, which are goroutines of this
// process with a device each, and returns it. A model that is on devices
// already moves, with its weights as they are; trainers made for it before must
// be made again.
func FSDP(m *Model, cfg FSDPConfig) *Model {
	if m == nil || m.closed {
		refuse("FSDP", "an open model", "%v", m)
	}
	if m.session != nil {
		return m.session.FSDP(m, cfg)
	}
	check("FSDP", cfg.MixedPrecision.Validate())
	if m.placed != nil {
		if m.trained {
			dir := m.saveTemp("FSDP")
			if m.temp != "" {
				os.RemoveAll(filepath.Dir(m.temp))
			}
			m.path, m.temp, m.trained = dir, dir, false
		}
		check("FSDP", m.release())
	}
	before := m.wrap
	m.wrap = cfg
	if err := Try(func() { m.place("FSDP") }); err != nil {
		m.wrap = before
		check("FSDP", err)
	}
	return m
}
