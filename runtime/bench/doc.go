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
// whatever else the machine does falls on both. Each side times itself; the
// peak of its resident memory is the kernel's own figure. A ratio is that of
// the medians; quartiles say how far the rounds lie apart.
//
// PyTorch runs at its best: where several settings compute the same, all are
// tried first and the fastest goes into the contest.
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
