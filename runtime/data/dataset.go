// Package data turns preference files into packed batches, with the reference
// DPO code's tokenisation, truncation and batch order.
//
//	set, err := data.Load("hh", path, data.Train)
//	it, err := data.NewIterator([]*data.Dataset{set}, tok, data.DefaultOptions())
//	for {
//		examples, err := it.Next() // nil at the end
//		batch := data.Pack(examples, data.Preference)
//		...
//	}
//
// # Datasets
//
// A [Dataset] is a list of prompts, each with its responses, the pairs among
// them (chosen, rejected) and a target for supervised fine-tuning, in the order
// in which prompts first appear. Sources register themselves by name: hh
// (Anthropic HH), shp (Stanford Human Preferences) and pairs (JSON lines with
// prompt, chosen and rejected).
//
// # Batches
//
// A [Batch] holds no padding: the tokens of all examples are one list, and
// segments say which rows attend to which. A preference pair is prompt |
// chosen | rejected, where both responses attend to the one prompt, so a prompt
// is computed once (arXiv 2410.20305). [Padded] builds the reference's padded
// layout of the same examples, as an oracle for tests and for counting tokens.
//
// # Errors
//
// A line that cannot be used is an error with file, line and reason. What is
// legal but suspicious (an empty response, a rejected text that does not
// continue the prompt, an end-of-text token lost to truncation) is counted in a
// [Report].
package data

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Split is one of the two parts of a dataset.
type Split string

const (
	Train Split = "train"
	Test  Split = "test"
)

// Truncation says which end of a prompt survives when it is too long.
type Truncation uint8

const (
	KeepStart Truncation = iota
	KeepEnd              // dialogues: the last turns matter
)

// Prompt is one prompt with what was answered to it.
type Prompt struct {
	Text      string
	Responses []string
	Pairs     [][2]int // chosen, rejected: positions in Responses
	SFTTarget string
	Row       string // where it first appeared: "file:line"
}

// Dataset is an ordered list of prompts.
type Dataset struct {
	Name       string
	Prompts    []Prompt
	Truncation Truncation
	Report     Report
}

// Report counts what is legal but suspicious in a source.
type Report struct {
	Rows           int
	Pairs          int
	PromptMismatch int // rejected does not begin with the chosen text's prompt
	EmptyResponse  int
	Identical      int // chosen equals rejected
	Filtered       int // rows that the source's own rule leaves out
}

// String is one line for a log.
func (r Report) String() string {
	s := fmt.Sprintf("%d rows, %d pairs", r.Rows, r.Pairs)
	for _, c := range []struct {
		n    int
		what string
	}{{r.Filtered, "filtered"}, {r.PromptMismatch, "rejected not continuing the prompt"}, {r.EmptyResponse, "with an empty response"}, {r.Identical, "identical pairs"}} {
		if c.n > 0 {
			s += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	return s
}

// NumPairs counts the preference pairs.
func (d *Dataset) NumPairs() int {
	n := 0
	for _, p := range d.Prompts {
		n += len(p.Pairs)
	}
	return n
}

// builder collects pairs by prompt, in the order of first appearance.
type builder struct {
	set   *Dataset
	index map[string]int
}

func newBuilder(name string, t Truncation) *builder {
	return &builder{set: &Dataset{Name: name, Truncation: t}, index: map[string]int{}}
}

// at returns the entry of a prompt, making it at first sight.
func (b *builder) at(text, row string) *Prompt {
	i, ok := b.index[text]
	if !ok {
		i = len(b.set.Prompts)
		b.index[text] = i
		b.set.Prompts = append(b.set.Prompts, Prompt{Text: text, Row: row})
	}
	return &b.set.Prompts[i]
}

// pair adds one preference.
func (b *builder) pair(prompt, chosen, rejected, row string) {
	p := b.at(prompt, row)
	n := len(p.Responses)
	p.Responses = append(p.Responses, chosen, rejected)
	p.Pairs = append(p.Pairs, [2]int{n, n + 1})
	p.SFTTarget = chosen
	b.set.Report.Pairs++
	if chosen == "" || rejected == "" {
		b.set.Report.EmptyResponse++
	}
	if chosen == rejected {
		b.set.Report.Identical++
	}
}

// loader reads the files of one source.
type loader func(files []string) (*Dataset, error)

var sources = map[string]loader{}

// register makes a source known; each source's file calls it in init.
func register(name string, l loader) { sources[name] = l }

// Sources lists the names that Load knows.
func Sources() []string {
	var names []string
	for n := range sources {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Load reads one split of a dataset from a file (.jsonl or .jsonl.gz; it serves
// as both splits) or a directory, in which files and folders are looked for
// whose names begin with the split's: train.jsonl.gz,
// harmless-base/test.jsonl.gz. Folders are read in the order of their names,
// which is the Hub's order for Anthropic HH.
func Load(name, path string, split Split) (*Dataset, error) {
	load := sources[name]
	if load == nil {
		return nil, fmt.Errorf("data: unknown dataset %q, want one of %s", name, strings.Join(Sources(), ", "))
	}
	files, err := find(path, split)
	if err != nil {
		return nil, err
	}
	set, err := load(files)
	if err != nil {
		return nil, err
	}
	if set.NumPairs() == 0 {
		return nil, fmt.Errorf("data: %s: no preference pairs in it", path)
	}
	return set, nil
}

// find lists a split's files.
func find(path string, split Split) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if !st.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		base := filepath.Base(p)
		if err == nil && !d.IsDir() && strings.HasPrefix(base, string(split)) && (strings.HasSuffix(base, ".jsonl") || strings.HasSuffix(base, ".jsonl.gz")) {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("data: %s: no %s*.jsonl or %s*.jsonl.gz in this directory", path, split, split)
	}
	return files, nil
}

// maxLine is the longest line that is read.
const maxLine = 64 << 20

// eachRow decodes every line of JSON files into row, calling visit with its
// place. The error of a bad line names it.
func eachRow[R any](files []string, visit func(row R, place string) error) error {
	for _, path := range files {
		if err := eachRowOf(path, visit); err != nil {
			return err
		}
	}
	return nil
}

func eachRowOf[R any](path string, visit func(row R, place string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return fmt.Errorf("data: %s: not gzip: %w", path, err)
		}
		defer z.Close()
		in = z
	}
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 1<<16), maxLine)
	line := 0
	for scan.Scan() {
		line++
		if len(strings.TrimSpace(scan.Text())) == 0 {
			continue
		}
		place := fmt.Sprintf("%s:%d", filepath.Base(path), line)
		var row R
		if err := json.Unmarshal(scan.Bytes(), &row); err != nil {
			return fmt.Errorf("data: %s:%d: not a JSON object of the expected fields: %w", path, line, err)
		}
		if err := visit(row, place); err != nil {
			return fmt.Errorf("data: %s:%d: %w", path, line, err)
		}
	}
	if err := scan.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes", maxLine)
		}
		return fmt.Errorf("data: %s:%d: %w", path, line+1, err)
	}
	return nil
}
