package fsdp

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// Config says how FullyShard wraps a model.
type Config struct {
	// BlockName is the class whose instances become groups of their own, such
	// as "GPTNeoXLayer". Empty makes the whole model one group.
	BlockName string
	Strategy  ShardingStrategy
	// ShardSize is the number of ranks that share one master copy under
	// HybridShard.
	ShardSize      int
	MixedPrecision MixedPrecision
	// MasterDType is the type of the master copy when the model is still on
	// meta; dtype.Invalid means float32.
	MasterDType dtype.DType
	// CPUOffload keeps masters, their gradients and the optimizer's state in
	// host memory, as FSDP1's CPUOffload(offload_params=True): each group is
	// uploaded when its turn comes and its gradients come back, and the
	// optimizer runs on the host.
	CPUOffload bool
	// ActivationCheckpointing recomputes each block in backward instead of
	// keeping its activations.
	ActivationCheckpointing bool
}

// Model is a module whose parameters are sharded. The module itself is used as
// before: its forward gathers what it needs.
type Model struct {
	Module  nn.Module
	Mesh    *Mesh
	dev     *tensor.Device
	home    *tensor.Device // where masters live
	groups  []*group       // the blocks in order, then the root
	order   *schedule
	courier *courier // nil where masters are on the device, or on the way to it nothing overlaps
	config  Config
}

// FullyShard spreads m's parameters over the ranks of r's world, in place. The
// model may be on meta, in which case only this rank's rows are ever
// allocated, or whole, in which case the rest is freed.
func FullyShard(m nn.Module, r *distributed.Rank, cfg Config) (*Model, error) {
	if err := cfg.MixedPrecision.Validate(); err != nil {
		return nil, err
	}
	if err := cfg.MixedPrecision.supported(r.Dev); err != nil {
		return nil, err
	}
	if err := r.Dev.Supports(cfg.MasterDType); err != nil {
		return nil, fmt.Errorf("fsdp: %w", err)
	}
	mesh, err := NewMesh(r, cfg.Strategy, cfg.ShardSize)
	if err != nil {
		return nil, err
	}
	var blocks []nn.Module
	if cfg.BlockName != "" {
		if blocks, err = nn.FindByClass(m, cfg.BlockName); err != nil {
			return nil, fmt.Errorf("fsdp: model.block_name: %w", err)
		}
	}
	for _, np := range nn.NamedParameters(m) {
		if np.Parameter.IsSharded() {
			return nil, fmt.Errorf("fsdp: %s is sharded already", np.Name)
		}
	}
	if cfg.MasterDType == dtype.Invalid {
		cfg.MasterDType = dtype.Float32
	}
	f := &Model{Module: m, Mesh: mesh, dev: r.Dev, home: r.Dev, order: &schedule{}, config: cfg}
	if cfg.CPUOffload {
		if f.home, err = r.Host(); err != nil {
			return nil, fmt.Errorf("fsdp: CPUOffload: %w", err)
		}
	}
	f.courier = newCourier(f.dev, f.home)
	f.partition(blocks)
	for _, g := range f.groups {
		g.shard(cfg.MasterDType)
	}
	nn.PlaceBuffers(m, r.Dev, cfg.MixedPrecision.BufferDType)
	for i, b := range blocks {
		f.install(b, f.groups[i])
		if cfg.ActivationCheckpointing {
			b.Base().Hooks().Around = tensor.Checkpoint
		}
	}
	f.install(m, f.groups[len(blocks)])
	return f, nil
}

// partition assigns every parameter to the one block that uses it, or to the
// root if no block or more than one does.
func (f *Model) partition(blocks []nn.Module) {
	owner := map[*nn.Parameter]int{}
	for i, b := range blocks {
		for _, p := range nn.Parameters(b) {
			if at, taken := owner[p]; taken && at != i {
				owner[p] = len(blocks)
			} else {
				owner[p] = i
			}
		}
	}
	inBlocks := map[*nn.Parameter]int{}
	for _, b := range blocks {
		for _, np := range nn.AllNames(b) {
			inBlocks[np.Parameter]++
		}
	}
	total := map[*nn.Parameter]int{}
	for _, np := range nn.AllNames(f.Module) {
		total[np.Parameter]++
	}
	for i := 0; i <= len(blocks); i++ {
		g := &group{mesh: f.Mesh, dev: f.dev, home: f.home, mp: f.config.MixedPrecision, name: "root", root: i == len(blocks), schedule: f.order, courier: f.courier}
		if i < len(blocks) {
			g.name = fmt.Sprintf("%s %d", f.config.BlockName, i)
			g.reshard = f.config.Strategy != ShardGradOp && f.config.Strategy != NoShard
		}
		f.groups = append(f.groups, g)
	}
	for _, np := range nn.NamedParameters(f.Module) {
		at, ok := owner[np.Parameter]
		if !ok || total[np.Parameter] > inBlocks[np.Parameter] { // used outside blocks too
			at = len(blocks)
		}
		f.groups[at].params = append(f.groups[at].params, np)
	}
	// Until a forward has shown another order, blocks follow each other as
	// they are registered.
	for i := range blocks {
		before := f.groups[(i+len(blocks))%(len(blocks)+1)] // the root's comes first
		before.next = f.groups[i]
		if i > 0 {
			f.groups[i].previous = before
		}
		f.order.final = f.groups[i]
	}
}

// install hooks a group into its module's forward and, through the graph, into
// its backward.
func (f *Model) install(m nn.Module, g *group) {
	h := m.Base().Hooks()
	h.Before = func(x *tensor.Tensor) *tensor.Tensor {
		f.order.enter(g)
		return tensor.Hook(x, g.reduce)
	}
	h.After = func(y *tensor.Tensor) *tensor.Tensor {
		recorded := y.RequiresGrad() && f.dev.GradEnabled()
		if g.reshard || !recorded {
			g.drop()
		}
		return tensor.Hook(y, func() {
			f.order.enterBackward(g)
			g.pending = true
			// A block whose input needs no gradient, such as the root, has no
			// later point in the graph to be reduced at.
			f.order.open++
			f.dev.AtBackwardEnd(func() {
				g.reduce()
				if f.order.open--; f.order.open == 0 {
					f.order.settle()
				}
			})
		})
	}
}

// MixedPrecision returns the precision in force.
func (f *Model) MixedPrecision() MixedPrecision { return f.config.MixedPrecision }

// SetMixedPrecision changes the precision from the next forward on. It is a
// local operation, to be called on every rank between steps; masters,
// gradients and optimizer state are untouched.
func (f *Model) SetMixedPrecision(mp MixedPrecision) error {
	if err := mp.Validate(); err != nil {
		return err
	}
	if err := mp.supported(f.dev); err != nil {
		return err
	}
	f.order.turn(nil)
	for _, g := range f.groups {
		if g.pending {
			return fmt.Errorf("fsdp: SetMixedPrecision in the middle of a backward pass")
		}
		g.forget()
		g.mp = mp
	}
	if mp.BufferDType != f.config.MixedPrecision.BufferDType {
		nn.PlaceBuffers(f.Module, f.dev, mp.BufferDType)
	}
	f.config.MixedPrecision = mp
	return nil
}

// Unshard gathers the whole model until Reshard, for code that runs many
// forwards in a row, such as generation. All ranks must call it.
func (f *Model) Unshard() {
	for _, g := range f.groups {
		g.unshard()
		g.held = true
	}
}

// Reshard drops the parameters that Unshard gathered.
func (f *Model) Reshard() {
	for _, g := range f.groups {
		g.held = false
		g.drop()
	}
}

// Recover returns the model to a clean state after a step that failed: no
// gathered parameters, no half-collected gradients. It communicates nothing.
func (f *Model) Recover() {
	f.dev.Backend().Synchronize() // what was started may still use the memory
	f.order.recover()
	for _, g := range f.groups {
		g.pending = false
		g.forget()
	}
}

// Release gives back what the model holds besides its parameters: page-locked
// memory, and what is under way to and from it. The model must not be used
// again.
func (f *Model) Release() {
	if f.courier != nil {
		f.Recover()
		f.courier.close()
	}
}

// GradNorm returns the 2-norm of all gradients over all ranks, in float64 from
// float32 gradients. All ranks must call it.
func (f *Model) GradNorm() float64 {
	var grads []kernels.Array
	for _, p := range nn.Parameters(f.Module) {
		if g := p.MasterGrad(); g != nil {
			grads = append(grads, g.Array())
		}
	}
	sum := [1]float64{f.home.Backend().SumSquares(grads)}
	f.Mesh.Shard.SumHost(sum[:])
	return math.Sqrt(sum[0])
}

// ClipCoefficient is the factor that clip_grad_norm_ would scale gradients by
// for a norm and a limit: min(1, max/(norm+1e-6)).
func ClipCoefficient(norm, max float64) float64 { return math.Min(1, max/(norm+1e-6)) }
