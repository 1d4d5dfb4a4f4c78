package demo

import "path/filepath"

// Files are the demo's model and data on disk.
type Files struct {
	Model       string // a Hugging Face directory with a freshly initialised model
	Train, Test string // preference pairs in Anthropic HH's format
}

// Write puts the demo's model and data into dir, for experiments of one's own.
func Write(dir string) (Files, error) {
	f := Files{filepath.Join(dir, "tiny"), filepath.Join(dir, "train.jsonl"), filepath.Join(dir, "test.jsonl")}
	return f, prepare(dir, f.Model)
}
