package distributed

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/nccl"
	"dpolab/runtime/distributed/rendezvous"
	"dpolab/runtime/tensor"
)

// World is a set of ranks: those that live in this process and, in a job of
// several processes, those of the others.
type World struct {
	first, size int     // this process's first rank, and the number of all
	ranks       []*Rank // of this process
	jobs        []chan func(*Rank)
	mu          sync.Mutex // one Run at a time
	lobby       *lobby
	link        link
	patience    time.Duration
	job         *rendezvous.Group // the processes of the job, nil if this is the only one
	ids         map[string][]byte // of communicators that are being made
	broken      error             // why the job cannot go on
}

// Rank is one participant: its number, its device and the group of all ranks.
// It is used from inside World.Run only.
type Rank struct {
	Rank, Size int
	Dev        *tensor.Device
	Group      ProcessGroup
	world      *World
	host       *tensor.Device

	mu       sync.Mutex // what follows is the watchdog's, too
	comms    map[string]*nccl.Comm
	flights  []flight
	last     string // the collective it came to last
	lastTime time.Time
}

// NewWorld opens one rank on each device. threads is the number of CPU threads
// of each rank; 0 divides the processors that the
// process may use ([device.Processors]) among them. Several ranks may
// share one GPU ("cuda:0,0"), or have one each.
func NewWorld(devices []device.Device, threads int) (*World, error) {
	return newWorld(nil, 0, len(devices), devices, threads)
}

// newWorld opens the ranks of this process, of which first is the first of
// size in the job.
func newWorld(job *rendezvous.Group, first, size int, devices []device.Device, threads int) (*World, error) {
	if len(devices) == 0 {
		return nil, errors.New("distributed: a world needs at least one device")
	}
	if threads == 0 {
		threads = threadsFor(len(devices))
	}
	w := &World{first: first, size: size, job: job, lobby: newLobby(first, len(devices))}
	var err error
	if w.link, err = linkOf(devices, job != nil); err != nil {
		return nil, err
	}
	if w.patience, err = patienceFromEnvironment(); err != nil {
		return nil, err
	}
	for i, d := range devices {
		dev, err := tensor.Open(d, threads)
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("distributed: rank %d: %w", first+i, err)
		}
		if _, ok := dev.Backend().(kernels.Queues); !ok && w.link == byNCCL {
			w.Close()
			return nil, fmt.Errorf("distributed: rank %d: %s has no queue for collectives", first+i, d)
		}
		r := &Rank{Rank: first + i, Size: size, Dev: dev, world: w, comms: map[string]*nccl.Comm{}}
		jobs := make(chan func(*Rank))
		w.ranks, w.jobs = append(w.ranks, r), append(w.jobs, jobs)
		go func() {
			if d.Type == device.CUDA { // its context belongs to the thread
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			for fn := range jobs {
				fn(r)
			}
		}()
	}
	if err := w.Run(func(r *Rank) error { r.Group = r.Subgroup(w.all()); return nil }); err != nil {
		w.Close()
		return nil, fmt.Errorf("distributed: %w", err)
	}
	return w, nil
}

func numbers(first, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = first + i
	}
	return out
}

func (w *World) all() []int   { return numbers(0, w.size) }
func (w *World) local() []int { return numbers(w.first, len(w.ranks)) }

// link is how the ranks of a world reach each other.
type link uint8

const (
	byHost  link = iota // plain copies: the ranks read each other's memory
	byPeers             // one GPU's queues
	byNCCL
)

// linkOf chooses how ranks on the given devices, and those of other processes
// if there are any, reach each other.
func linkOf(devices []device.Device, job bool) (link, error) {
	first := devices[0]
	if first.Type != device.CUDA {
		if job {
			return byHost, fmt.Errorf("distributed: ranks on %s live in one process (devices=cpu:N has N of them): between processes NCCL carries the tensors, and that needs a GPU per rank", first)
		}
		return byHost, nil
	}
	same, twice := 0, false
	for i, d := range devices {
		if d == first {
			same++
		}
		twice = twice || slices.Contains(devices[:i], d)
	}
	switch {
	case len(devices) == 1 && !job:
		return byHost, nil
	case same == len(devices) && !job:
		return byPeers, nil
	case twice:
		return byHost, fmt.Errorf("distributed: devices %v: ranks have a GPU each, or share one that all ranks are on, in one process", devices)
	}
	return byNCCL, nil
}

// Size returns the number of ranks, those of other processes included.
func (w *World) Size() int { return w.size }

// First returns this process's first rank, Local the number of its ranks. In a
// world of one process they are 0 and Size.
func (w *World) First() int { return w.first }
func (w *World) Local() int { return len(w.ranks) }

// Device returns the device of rank i, which lives in this process; it must not
// be used while Run is going on.
func (w *World) Device(i int) *tensor.Device { return w.ranks[i-w.first].Dev }

// Run executes fn on every rank of this process at once and waits for all. If a
// rank returns an error or panics, the others are released from any collective
// they wait in, and Run returns what went wrong first. The world stays usable,
// unless ranks of other processes are part of it: then the job is over, and the
// others are told why.
//
// A rank that hangs on its device is released, too, one that hangs in code of
// its own cannot be: the others are, and Run returns when it does.
func (w *World) Run(fn func(r *Rank) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ranks) == 0 {
		return errors.New("distributed: the world is closed")
	}
	if w.broken != nil {
		return fmt.Errorf("distributed: the job has ended: %w", w.broken)
	}
	errs := make([]error, len(w.ranks))
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		if w.link == byNCCL {
			w.watch(stop)
		}
	}()
	var wg sync.WaitGroup
	for i, jobs := range w.jobs {
		wg.Add(1)
		jobs <- func(r *Rank) {
			defer wg.Done()
			if err := protect(r, fn); err != nil {
				errs[i] = err
				w.fail(fmt.Errorf("rank %d failed: %w", r.Rank, err))
			}
			w.lobby.returned(r.Rank)
		}
	}
	wg.Wait()
	close(stop)
	<-watched
	err := w.cause(errs)
	if err == nil { // a failure that no rank was waiting for
		err = w.lobby.failure()
	}
	if err != nil {
		w.tidy(err)
	}
	w.lobby.reset()
	return err
}

// tidy makes the world usable after a failure: what was started and not waited
// for still uses the ranks' memory, and communicators that were aborted are
// gone.
func (w *World) tidy(err error) {
	for _, r := range w.ranks {
		r.Dev.Backend().Synchronize()
		r.mu.Lock()
		r.land()
		r.flights = nil
		clear(r.comms)
		r.mu.Unlock()
	}
	if w.job != nil {
		w.broken = err
	}
}

// cause prefers a rank's own failure to the aborts that followed from it.
func (w *World) cause(errs []error) error {
	var aborted error
	for i, err := range errs {
		if err == nil {
			continue
		}
		var a *Aborted
		if errors.As(err, &a) {
			if aborted == nil {
				aborted = err
			}
			continue
		}
		if w.size == 1 {
			return err
		}
		return fmt.Errorf("rank %d: %w", w.first+i, err)
	}
	return aborted
}

// protect turns a panic in fn into an error: a tensor error as it is, anything
// else with its stack.
func protect(r *Rank, fn func(*Rank) error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *Aborted:
			err = p
		case error:
			err = fmt.Errorf("%w\n%s", p, debug.Stack())
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if tryErr := tensor.Try(func() { err = fn(r) }); tryErr != nil {
		return tryErr
	}
	return err
}

// Close ends the ranks and frees their devices.
func (w *World) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, jobs := range w.jobs {
		close(jobs)
	}
	w.jobs = nil
	for _, r := range w.ranks {
		for _, c := range r.comms {
			errs = append(errs, c.Close())
		}
		errs = append(errs, r.Dev.Close())
		if r.host != nil {
			errs = append(errs, r.host.Close())
		}
	}
	w.ranks = nil
	if w.job != nil {
		w.job.Close()
	}
	return errors.Join(errs...)
}

// threadsFor is how many threads each of n ranks of this process has.
func threadsFor(n int) int {
	processors, _ := device.Processors()
	return max(1, processors/n)
}

// Host returns a device in host memory that belongs to this rank, opened when
// first asked for: where CPU offloading keeps what does not fit on Dev.
func (r *Rank) Host() (*tensor.Device, error) {
	if r.host == nil {
		dev, err := tensor.Open(device.Device{Type: device.CPU, Index: r.Rank}, threadsFor(len(r.world.ranks)))
		if err != nil {
			return nil, err
		}
		r.host = dev
	}
	return r.host, nil
}

// Subgroup returns this rank's end of the group of the given ranks, which must
// include it. Every member must ask with the same list. In a job of several
// processes every rank of the world must ask at the same time, each for the
// group that it is in, as torch.distributed.new_group wants it.
func (r *Rank) Subgroup(members []int) ProcessGroup {
	at := slices.Index(members, r.Rank)
	if at < 0 {
		panic(&tensor.Error{Op: "subgroup", Want: fmt.Sprintf("a list with rank %d", r.Rank), Got: fmt.Sprint(members)})
	}
	for i, m := range members {
		if m < 0 || m >= r.Size || slices.Contains(members[:i], m) {
			panic(&tensor.Error{Op: "subgroup", Want: fmt.Sprintf("ranks from 0 to %d, each once", r.Size-1), Got: fmt.Sprint(members)})
		}
	}
	var here []int
	for _, m := range members {
		if m >= r.world.first && m < r.world.first+len(r.world.jobs) {
			here = append(here, m)
		}
	}
	local := localGroup{meeting: r.world.lobby.meeting(here), rank: slices.Index(here, r.Rank), dev: r.Dev}
	queues, _ := r.Dev.Backend().(kernels.Queues)
	peers, shared := r.Dev.Backend().(kernels.Peers)
	switch {
	case r.world.job != nil: // also when it is alone: all take part in connecting
		g := &ncclGroup{localGroup: local, owner: r, members: slices.Clone(members), place: at, queues: queues}
		g.connect("subgroup")
		if len(members) == 1 {
			return &local
		}
		return g
	case len(members) == 1:
	case r.world.link == byNCCL:
		return &ncclGroup{localGroup: local, owner: r, members: slices.Clone(members), place: at, queues: queues}
	case r.world.link == byPeers && shared:
		return &peerGroup{local, peers}
	}
	return &local
}
