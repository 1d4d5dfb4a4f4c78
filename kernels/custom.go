package kernels

// Compiler is a backend that compiles kernels from source while the program
// runs.
//
// Composition: none. A backend without it cannot run such kernels.
type Compiler interface {
	// Compile compiles a text of CUDA C whose kernels are declared extern "C"
	// __global__. name stands for the text in the compiler's messages, which are
	// the error.
	Compile(name, source string) (Program, error)
}

// Program is a compiled text. It goes with its backend.
type Program interface {
	// Launch queues a kernel with parameters packed as C packs them in a
	// structure. Memory in them must stay until what is queued is done or be
	// given back by Free.
	Launch(kernel string, grid [3]int, threads, shared int, params []byte)
}
