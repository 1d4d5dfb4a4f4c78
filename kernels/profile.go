package kernels

// Profiler is a backend that can time what it runs on its device.
//
// Composition: none. Without it, only whole steps can be timed.
type Profiler interface {
	// StartProfile times everything queued on Compute from now on, with a mark of
	// the device's before and after each piece of work. That slows the host down.
	StartProfile() error
	// StopProfile waits for the device and returns what was timed.
	StopProfile() (Profile, error)
}

// Profile is where a device's time went, in seconds.
type Profile struct {
	// Span is from the first piece of work to the end of the last. Busy is the part
	// of it in which a piece ran.
	Span, Busy float64
	Work       []Work // in the order of their first occurrence
}

// Work is what all launches of one kernel, or products of one shape, took.
type Work struct {
	Family  string // "gemm", "attention", "norm", ...
	Name    string // the kernel's name, or the product's shape and types
	Count   int
	Seconds float64
	Flops   float64 // of products, 2·M·N·K each; 0 for anything else
}
