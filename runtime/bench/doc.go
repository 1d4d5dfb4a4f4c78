// Package bench measures training steps and single kernels beside PyTorch on
// the same machine.
//
//	report, err := bench.Run(ctx, bench.DefaultOptions(), progress)
//	report.Print(os.Stdout)
//
// # Method
//
// Both sides are child processes that answer the same requests, one JSON
// object per line: [Serve] is ours, .ci/python/bench_server.py is PyTorch's.
// The driver opens the same job on both, from one checkpoint on disk, and then
// asks them in turn (ours, theirs, ours, …), a round at a time, so that
// whatever else the machine does falls on both. The side that is not asked is
// stopped (SIGSTOP), as OpenMP's idle threads would spin on the cores that the
// other needs. Both warm up with the same steps: three, or as many as the
// faster side takes in two seconds. Of a kernel, a round's first call is not
// measured. Each side times itself; the peak of its resident memory is the
// kernel's own figure. A ratio is that of the medians; quartiles say how far the
// rounds lie apart.
//
// PyTorch runs at its best: where several settings compute the same (memory
// kept, optimizer kernels fused, threads that wait passively), all are tried
// first and the fastest goes into the contest. torch.compile is a side of its
// own: what its first step took to compile stands beside its name, or under
// "What did not run" why it did not.
//
// Both sides take the same steps from the same weights on the same tokens, so
// their losses must agree: the largest relative difference stands beside every
// ratio. Without a Python the figures of our side are measured alone.
//
// # Shapes
//
// B sequences or pairs, T tokens, D hidden size, V vocabulary, H heads.
//
// # Errors
//
// A child that cannot be started or answers with an error ends its case, not
// the run: the report says what failed.
package bench
