package rendezvous

import (
	"fmt"
	"hash/fnv"
	"net"
	"strconv"
	"strings"
)

// Place is one process's place among all processes of a job.
type Place struct {
	Launcher   string // who said so: "torchrun", "srun" or "mpirun"
	Rank       int    // 0 to World-1
	World      int    // processes in the job
	LocalRank  int    // among those of this machine, which picks its GPUs
	LocalWorld int    // processes on this machine, 0 if the launcher does not say
	Address    string // host:port at which rank 0 listens
	Job        string // what the processes of one job share and others do not
}

// FromEnvironment reads what a launcher has left in the environment: torchrun
// (started with --no-python) and the Kubeflow PyTorchJob, srun, and mpirun.
// getenv is os.Getenv but in tests. ok is false if no launcher is at work, or
// the job has one process.
func FromEnvironment(getenv func(string) string) (p Place, ok bool, err error) {
	for _, l := range launchers {
		if getenv(l.rank) == "" {
			continue
		}
		r := reader{getenv: getenv, launcher: l.name}
		p = Place{Launcher: l.name, Rank: r.number(l.rank), World: r.number(l.world), Job: l.name + " " + r.first(l.job)}
		if getenv(l.local) != "" {
			p.LocalRank = r.number(l.local)
		}
		p.LocalWorld = localWorld(r.first(l.locals))
		if r.err == nil && (p.World < 1 || p.Rank < 0 || p.Rank >= p.World || p.LocalRank < 0) {
			r.err = fmt.Errorf("rendezvous: %s: %s=%d, %s=%d: want a rank from 0 to one below the world size", l.name, l.rank, p.Rank, l.world, p.World)
		}
		if r.err == nil && p.World > 1 {
			p.Address = r.address(l)
		}
		return p, r.err == nil && p.World > 1, r.err
	}
	return Place{}, false, nil
}

// launcher names the variables of one way to start a job.
type launcher struct {
	name, rank, world, local string
	job, locals              []string
	nodes, id                string // for an address when MASTER_ADDR is not set
}

// PyTorchJob sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT as torchrun does.
// srun comes before mpirun because Open MPI's variables may be there under it.
var launchers = []launcher{
	{name: "torchrun", rank: "RANK", world: "WORLD_SIZE", local: "LOCAL_RANK", job: []string{"TORCHELASTIC_RUN_ID"},
		locals: []string{"LOCAL_WORLD_SIZE"}},
	{name: "srun", rank: "SLURM_PROCID", world: "SLURM_NTASKS", local: "SLURM_LOCALID",
		job: []string{"SLURM_JOB_ID"}, locals: []string{"SLURM_STEP_TASKS_PER_NODE", "SLURM_NTASKS_PER_NODE"}, nodes: "SLURM_JOB_NODELIST", id: "SLURM_JOB_ID"},
	{name: "mpirun", rank: "OMPI_COMM_WORLD_RANK", world: "OMPI_COMM_WORLD_SIZE", local: "OMPI_COMM_WORLD_LOCAL_RANK",
		job: []string{"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"}, locals: []string{"OMPI_COMM_WORLD_LOCAL_SIZE"}},
	{name: "mpirun", rank: "PMI_RANK", world: "PMI_SIZE", local: "MPI_LOCALRANKID", job: []string{"PMI_ID"},
		locals: []string{"MPI_LOCALNRANKS"}},
}

// reader collects the first error.
type reader struct {
	getenv   func(string) string
	launcher string
	err      error
}

func (r *reader) first(names []string) string {
	for _, n := range names {
		if v := r.getenv(n); v != "" {
			return v
		}
	}
	return ""
}

func (r *reader) number(name string) int {
	n, err := strconv.Atoi(r.getenv(name))
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("rendezvous: %s: %s=%q: want a number", r.launcher, name, r.getenv(name))
	}
	return n
}

// address is where rank 0 listens. Without MASTER_ADDR, srun's first node is
// taken, and a port that follows from the job's number.
func (r *reader) address(l launcher) string {
	host, port := r.getenv("MASTER_ADDR"), r.getenv("MASTER_PORT")
	if host == "" && l.nodes != "" {
		host = firstNode(r.getenv(l.nodes))
	}
	if port == "" && l.id != "" {
		h := fnv.New32a()
		h.Write([]byte(r.getenv(l.id)))
		port = strconv.Itoa(20000 + int(h.Sum32()%20000))
	}
	// torchrun's agent listens at MASTER_PORT itself, and goes on doing so when
	// it starts the processes anew.
	if base, err := strconv.Atoi(port); err == nil && r.getenv("TORCHELASTIC_USE_AGENT_STORE") == "True" {
		restarts, _ := strconv.Atoi(r.getenv("TORCHELASTIC_RESTART_COUNT"))
		port = strconv.Itoa(base + 1 + restarts)
	}
	if host == "" || port == "" {
		r.err = fmt.Errorf("rendezvous: %s: want MASTER_ADDR and MASTER_PORT in the environment of every process (mpirun -x MASTER_ADDR=HOST -x MASTER_PORT=29500), got %q and %q",
			l.name, host, port)
		return ""
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		r.err = fmt.Errorf("rendezvous: %s: MASTER_PORT=%q: want a port from 1 to 65535", l.name, port)
	}
	return net.JoinHostPort(host, port)
}

// firstNode is the first host of Slurm's notation: node[03-05,9],gpu7 gives
// node03.
func firstNode(list string) string {
	if open := strings.IndexByte(list, '['); open >= 0 && !strings.Contains(list[:open], ",") {
		inner, rest, _ := strings.Cut(list[open+1:], "]")
		suffix, _, _ := strings.Cut(rest, ",")
		return list[:open] + inner[:strings.IndexAny(inner+",", "-,")] + suffix
	}
	first, _, _ := strings.Cut(list, ",")
	return first
}

// localWorld reads the number of processes on this machine; Slurm writes
// "4(x2)" or "4,3" where machines have several, of which only an equal number
// is an answer.
func localWorld(text string) int {
	first, rest, _ := strings.Cut(text, "(")
	n, err := strconv.Atoi(first)
	if err != nil || strings.Contains(rest, ",") {
		return 0
	}
	return n
}
