package distributed

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/runtime/tensor"
)

// World is a set of ranks living in this process.
type World struct {
	ranks []*Rank
	jobs  []chan func(*Rank)
	mu    sync.Mutex // one Run at a time
	lobby *lobby
	link  link
}

// link is how the ranks of a world reach each other.
type link uint8

const (
	byHost  link = iota // plain copies: the ranks read each other's memory
	byPeers             // one GPU's queues
)

// Rank is one participant: its number, its device and the group of all ranks.
// It is used from inside World.Run only.
type Rank struct {
	Rank, Size int
	Dev        *tensor.Device
	Group      ProcessGroup
	world      *World
	host       *tensor.Device
}

// NewWorld opens one rank on each device. threads is the number of CPU threads
// of each rank; 0 divides the machine's cores among them.
func NewWorld(devices []device.Device, threads int) (*World, error) {
	if len(devices) == 0 {
		return nil, errors.New("distributed: a world needs at least one device")
	}
	if threads == 0 {
		threads = max(1, runtime.GOMAXPROCS(0)/len(devices))
	}
	w := &World{lobby: newLobby(len(devices))}
	var err error
	if w.link, err = linkOf(devices); err != nil {
		return nil, err
	}
	all := make([]int, len(devices))
	for i := range all {
		all[i] = i
	}
	for i, d := range devices {
		dev, err := tensor.Open(d, threads)
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("distributed: rank %d: %w", i, err)
		}
		r := &Rank{Rank: i, Size: len(devices), Dev: dev, world: w}
		r.Group = r.Subgroup(all)
		w.ranks = append(w.ranks, r)
		jobs := make(chan func(*Rank))
		w.jobs = append(w.jobs, jobs)
		go func() {
			runtime.LockOSThread()
			for fn := range jobs {
				fn(r)
			}
			runtime.UnlockOSThread()
		}()
	}
	return w, nil
}

// linkOf chooses how ranks on the given devices reach each other.
func linkOf(devices []device.Device) (link, error) {
	if devices[0].Type != device.CUDA || len(devices) == 1 {
		return byHost, nil
	}
	for _, d := range devices[1:] {
		if d != devices[0] {
			return byHost, fmt.Errorf("distributed: %s and %s: ranks share one GPU or have one each", devices[0], d)
		}
	}
	return byPeers, nil
}

// Size returns the number of ranks.
func (w *World) Size() int { return len(w.ranks) }

// Device returns rank i's device; it must not be used while Run is going on.
func (w *World) Device(i int) *tensor.Device { return w.ranks[i].Dev }

// Run executes fn on every rank at once and waits for all. If a rank returns
// an error or panics, the others are released from any collective they wait
// in, and Run returns what went wrong first. The world stays usable.
func (w *World) Run(fn func(r *Rank) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ranks) == 0 {
		return errors.New("distributed: the world is closed")
	}
	errs := make([]error, len(w.ranks))
	var wg sync.WaitGroup
	for i, jobs := range w.jobs {
		wg.Add(1)
		jobs <- func(r *Rank) {
			defer wg.Done()
			if err := protect(r, fn); err != nil {
				errs[i] = err
				w.lobby.fail(fmt.Errorf("rank %d failed: %w", i, err))
			}
			w.lobby.returned(i)
		}
	}
	wg.Wait()
	err := first(errs)
	if err != nil { // what was started and not waited for still uses the ranks' memory
		for _, r := range w.ranks {
			r.Dev.Backend().Synchronize()
		}
	}
	w.lobby.reset()
	return err
}

// first prefers a rank's own failure to the aborts that followed from it.
func first(errs []error) error {
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
		if len(errs) == 1 {
			return err
		}
		return fmt.Errorf("rank %d: %w", i, err)
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
		errs = append(errs, r.Dev.Close())
		if r.host != nil {
			errs = append(errs, r.host.Close())
		}
	}
	w.ranks = nil
	return errors.Join(errs...)
}

// Host returns a device in host memory that belongs to this rank, opened when
// first asked for: where CPU offloading keeps what does not fit on Dev.
func (r *Rank) Host() (*tensor.Device, error) {
	if r.host == nil {
		threads := max(1, runtime.GOMAXPROCS(0)/len(r.world.ranks))
		dev, err := tensor.Open(device.Device{Type: device.CPU, Index: r.Rank}, threads)
		if err != nil {
			return nil, err
		}
		r.host = dev
	}
	return r.host, nil
}

// Subgroup returns this rank's end of the group of the given ranks, which must
// include it. Every member must ask with the same list.
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
	local := localGroup{meeting: r.world.lobby.meeting(members), rank: at, dev: r.Dev}
	if peers, ok := r.Dev.Backend().(kernels.Peers); ok && r.world.link == byPeers && len(members) > 1 {
		return &peerGroup{local, peers}
	}
	return &local
}
