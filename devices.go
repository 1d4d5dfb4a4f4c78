package main

import (
	"fmt"
	"strings"

	"dpolab/kernels/cuda"
)

// showCUDA prints what was found of GPUs and of NVIDIA's libraries.
func showCUDA(s cuda.Survey) {
	for i, g := range s.GPUs {
		fmt.Printf("cuda:%d %s, compute capability %d.%d, %d multiprocessors, %.1f GiB, bus %s\n", i, g.Name, g.Major, g.Minor, g.Multiprocessors, float64(g.Memory)/(1<<30), g.PCIBus)
	}
	if len(s.GPUs) == 0 {
		fmt.Println("cuda  no GPU")
	}
	for _, l := range s.Libraries {
		if l.Err == nil {
			fmt.Printf("      %s %s: %s\n", l.Name, l.Version, l.Path)
			continue
		}
		fmt.Printf("      %s, for %s: %s\n", l.Name, l.Needed, strings.ReplaceAll(l.Err.Error(), "\n", "\n        "))
	}
	fmt.Println("      looked in", strings.Join(s.Looked, ", "))
}
