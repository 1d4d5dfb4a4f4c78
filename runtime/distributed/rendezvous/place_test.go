package rendezvous

import (
	"strings"
	"testing"
)

func TestFromEnvironment(t *testing.T) {
	for name, c := range map[string]struct {
		env  string
		want Place
		ok   bool
		err  string
	}{
		"none":     {env: "HOME=/x"},
		"torchrun": {"RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 MASTER_ADDR=n1 MASTER_PORT=29500 TORCHELASTIC_RUN_ID=r", Place{"torchrun", 3, 4, 1, 0, "n1:29500", "torchrun r"}, true, ""},
		"torchrun, its store at the port": {"RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=n1 MASTER_PORT=29500 TORCHELASTIC_RUN_ID=r TORCHELASTIC_USE_AGENT_STORE=True TORCHELASTIC_RESTART_COUNT=2",
			Place{"torchrun", 3, 4, 1, 2, "n1:29503", "torchrun r"}, true, ""},
		"PyTorchJob":           {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=job-master-0 MASTER_PORT=23456", Place{"torchrun", 0, 2, 0, 0, "job-master-0:23456", "torchrun "}, true, ""},
		"IPv6":                 {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=::1 MASTER_PORT=1", Place{"torchrun", 0, 2, 0, 0, "[::1]:1", "torchrun "}, true, ""},
		"alone":                {env: "RANK=0 WORLD_SIZE=1", want: Place{Launcher: "torchrun", World: 1, Job: "torchrun "}},
		"srun":                 {"SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_JOB_ID=77 SLURM_JOB_NODELIST=gpu[03-05,9],x1", Place{"srun", 5, 8, 1, 0, "gpu03:34963", "srun 77"}, true, ""},
		"srun with an address": {"SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_JOB_ID=77 SLURM_JOB_NODELIST=a,b MASTER_ADDR=c MASTER_PORT=5", Place{"srun", 0, 8, 0, 0, "c:5", "srun 77"}, true, ""},
		"mpirun": {"OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=1 MASTER_ADDR=h MASTER_PORT=9 PMIX_NAMESPACE=q",
			Place{"mpirun", 1, 2, 1, 0, "h:9", "mpirun q"}, true, ""},
		"mpirun without an address": {env: "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2", err: "mpirun: want MASTER_ADDR and MASTER_PORT"},
		"no number":                 {env: "RANK=one WORLD_SIZE=2", err: `torchrun: RANK="one": want a number`},
		"no size":                   {env: "RANK=1", err: `torchrun: WORLD_SIZE="": want a number`},
		"rank too large":            {env: "RANK=2 WORLD_SIZE=2 MASTER_ADDR=h MASTER_PORT=9", err: "RANK=2, WORLD_SIZE=2: want a rank from 0"},
		"bad port":                  {env: "RANK=1 WORLD_SIZE=2 MASTER_ADDR=h MASTER_PORT=99999", err: `MASTER_PORT="99999": want a port`},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok, err := FromEnvironment(func(key string) string {
				for _, f := range strings.Fields(c.env) {
					if k, v, _ := strings.Cut(f, "="); k == key {
						return v
					}
				}
				return ""
			})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || ok {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || ok != c.ok || got != c.want {
				t.Errorf("got %+v %v %v, want %+v %v", got, ok, err, c.want, c.ok)
			}
		})
	}
}

func TestFirstNode(t *testing.T) {
	for list, want := range map[string]string{"n1": "n1", "n1,n2": "n1", "n[01-04]": "n01", "n[7,9]": "n7", "n[07]": "n07", "a,n[1-2]": "a", "n[1-2]-ib,z": "n1-ib", "": ""} {
		if got := firstNode(list); got != want {
			t.Errorf("%q gives %q, want %q", list, got, want)
		}
	}
}

func TestLocalWorld(t *testing.T) {
	for text, want := range map[string]int{"": 0, "4": 4, "8(x2)": 8, "4,3": 0, "4(x2),3": 0} {
		if got := localWorld(text); got != want {
			t.Errorf("%q gives %d, want %d", text, got, want)
		}
	}
}
