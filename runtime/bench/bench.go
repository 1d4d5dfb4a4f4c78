package bench

import (
	"context"
	"fmt"
	"os"
	"time"
)

// driver runs the cases and collects what they measure.
type driver struct {
	options Options
	dir     string
	say     func(format string, args ...any)
	report  *Report
	// slowBF16 says that PyTorch is not measured in bfloat16.
	slowBF16 bool
	// children serve kernels, by side and threads.
	children map[string]*child
}

// section is a group of cases. Each looks at Options.Case itself.
type section func(d *driver, ctx context.Context) error

// Run measures all cases that o asks for. progress, which may be nil, is told
// what is going on. With an error, an interrupt for one, comes what was measured
// until then.
func Run(ctx context.Context, o Options, progress func(line string)) (*Report, error) {
	if len(o.Self) == 0 || o.Rounds < 1 || len(o.Threads) == 0 {
		return nil, fmt.Errorf("bench: options: want the command line of our side, at least one round and a number of threads")
	}
	if (o.HH == "") != (o.Tokenizer == "") {
		return nil, fmt.Errorf("bench: options: a file of pairs and a tokenizer are wanted together")
	}
	d := &driver{options: o, dir: o.WorkDir, children: map[string]*child{}, say: func(format string, args ...any) {
		if progress != nil {
			progress(fmt.Sprintf(format, args...))
		}
	}}
	if d.dir == "" {
		dir, err := os.MkdirTemp("", "dpolab-bench-")
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		defer os.RemoveAll(dir)
		d.dir = dir
	}
	defer d.dismiss()
	d.report = &Report{Date: time.Now().Format("2006-01-02"), Machine: machine(), Options: o, Versions: d.versions(ctx)}
	if d.options.Python == "" {
		d.say("no Python given: our side alone is measured")
	}
	for _, s := range []section{(*driver).probe, (*driver).peaks, (*driver).fixedLength, (*driver).realJob, (*driver).precision, (*driver).layouts, (*driver).kernels, (*driver).scaling, (*driver).start} {
		if err := s(d, ctx); err != nil {
			return d.report, err
		}
		if ctx.Err() != nil {
			return d.report, ctx.Err()
		}
	}
	return d.report, nil
}

// versions asks both sides what they run on. A PyTorch that does not start is
// left out from here on.
func (d *driver) versions(ctx context.Context) map[string]string {
	all := map[string]string{}
	sides := map[string][]string{"ours": d.options.Self}
	if d.options.Python != "" {
		sides["theirs"] = []string{d.options.Python, d.options.Server}
	}
	for name, argv := range sides {
		c, err := startChild(ctx, name, argv, nil)
		var r reply
		if err == nil {
			r, err = c.ask(request{Op: "versions"})
			if e := c.stop(); err == nil {
				err = e
			}
		}
		if err != nil {
			d.say("%v", err)
			if name == "theirs" {
				d.options.Python = ""
			}
		}
		for k, v := range r.Versions {
			all[k] = v
		}
	}
	return all
}
