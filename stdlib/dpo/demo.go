package dpo

import (
	"fmt"
	"os"

	"dpolab/runtime/demo"
)

// DemoSet is the embedded experiment: a tiny, freshly initialised Llama with
// its tokenizer, and pairs that prefer friendly answers to rude ones.
type DemoSet struct {
	Path        string // the model's directory, for LoadModel
	Train, Test *Preferences
	dir         string
}

// Demo writes the embedded model to a temporary directory, which Close removes,
// and reads the embedded pairs. No network is needed.
func Demo() *DemoSet {
	d := &DemoSet{}
	var f demo.Files
	stoppable("Demo", func() (err error) {
		if d.dir, err = os.MkdirTemp("", "dpolab-demo-"); err != nil {
			return err
		}
		f, err = demo.Write(d.dir)
		return err
	}, d.Close)
	d.Path = f.Model
	d.Train, d.Test = LoadPreferences("hh", f.Train, "train"), LoadPreferences("hh", f.Test, "test")
	remember(d)
	return d
}

// Model loads the demo's model; every call gives a new one.
func (d *DemoSet) Model() *Model { return LoadModel(d.Path) }

// Close removes the temporary directory.
func (d *DemoSet) Close() {
	forget(d)
	os.RemoveAll(d.dir)
}

func (d *DemoSet) String() string {
	return fmt.Sprintf("demo: train %d pairs, test %d pairs, model in %s", d.Train.Len(), d.Test.Len(), d.Path)
}
