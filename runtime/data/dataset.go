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
// in which prompts first appear. A prompt's pairs stay together: it is prompts
// that are shuffled. Sources register themselves by name:
//
//   - hh: Anthropic HH, rows of two whole dialogues
//   - shp: Stanford Human Preferences, pairs whose scores differ by a factor of two
//   - se: StackExchange preferences, HTML stripped
//   - pairs: rows of prompt, chosen and rejected, as text or as conversations
//
// A set of one's own needs no file: [Dataset.AddPair] builds one, [Register]
// gives a loader a name.
//
// # Batches
//
// An [Iterator] delivers examples in the reference's order, which rests on
// Python's and NumPy's Mersenne Twister; its [State] continues exactly where it
// was. The last batch of an epoch, when incomplete, is dropped as the reference
// drops it, but counted ([Iterator.Dropped]); DropLast false delivers it.
//
// A [Batch] holds no padding: the tokens of all examples are one list, and
// segments say which rows attend to which. A preference pair is prompt |
// chosen | rejected, where both responses attend to the one prompt, so a prompt
// is computed once (arXiv 2410.20305). [Padded] builds the reference's padded
// layout of the same examples, as an oracle for tests and for counting tokens.
//
// # Shapes
//
// B examples, T packed tokens, R labels, N responses: 2B for preferences, all
// chosen before all rejected, and B for supervised fine-tuning.
//
// # Errors
//
// The first line that cannot be used is an error with file, line and reason.
// What is legal but suspicious (an empty response, a rejected text that does
// not continue the prompt) is counted in a [Report]; what tokenisation loses
// (prompts cut, end-of-text tokens cut off) by the [Iterator].
package data

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	Row       string   // where it first appeared: "harmless-base/test.jsonl:17"
	PairRows  []string // where each pair came from
}

// Dataset is an ordered list of prompts.
type Dataset struct {
	Name       string
	Prompts    []Prompt
	Truncation Truncation
	Report     Report

	index map[string]int // by text, in Prompts
}

// Report counts what a source held and what in it is legal but suspicious.
type Report struct {
	Rows           int
	Pairs          int
	PromptMismatch int // rejected does not begin with the chosen text's prompt
	EmptyChosen    int
	EmptyRejected  int
	Identical      int // chosen equals rejected
	Filtered       int // rows that the source's own rule leaves out
	Replaced       int // rows that a later row with the same prompt replaced
}

// String is one line for a log.
func (r Report) String() string {
	s := fmt.Sprintf("%d rows, %d pairs", r.Rows, r.Pairs)
	for _, c := range []struct {
		n    int
		what string
	}{
		{r.Filtered, "rows filtered"}, {r.Replaced, "rows replaced by later ones"},
		{r.PromptMismatch, "pairs with a rejected text that does not continue the prompt"},
		{r.EmptyChosen, "with an empty chosen response"}, {r.EmptyRejected, "with an empty rejected response"},
		{r.Identical, "with identical responses"},
	} {
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

// AddPair adds one preference. Its chosen response becomes the prompt's target
// for supervised fine-tuning. row says where the pair came from.
func (d *Dataset) AddPair(prompt, chosen, rejected, row string) {
	p := d.at(prompt, row)
	n := len(p.Responses)
	p.Responses = append(p.Responses, chosen, rejected)
	d.pair(p, n, n+1, row)
	p.SFTTarget = chosen
}

// at returns the entry of a prompt, making it at first sight. The next call
// may move it.
func (d *Dataset) at(text, row string) *Prompt {
	if d.index == nil {
		d.index = make(map[string]int, len(d.Prompts))
		for i, p := range d.Prompts {
			d.index[p.Text] = i
		}
	}
	i, ok := d.index[text]
	if !ok {
		i = len(d.Prompts)
		d.index[text] = i
		d.Prompts = append(d.Prompts, Prompt{Text: text, Row: row})
	}
	return &d.Prompts[i]
}

// pair prefers one response of p to another.
func (d *Dataset) pair(p *Prompt, chosen, rejected int, row string) {
	p.Pairs, p.PairRows = append(p.Pairs, [2]int{chosen, rejected}), append(p.PairRows, row)
	d.Report.tally(p.Responses[chosen], p.Responses[rejected], 1)
}

// tally counts a pair, or with n -1 takes it back.
func (r *Report) tally(chosen, rejected string, n int) {
	r.Pairs += n
	if chosen == "" {
		r.EmptyChosen += n
	}
	if rejected == "" {
		r.EmptyRejected += n
	}
	if chosen == rejected {
		r.Identical += n
	}
}

// Loader reads one split of a source from a file or directory.
type Loader func(path string, split Split) (*Dataset, error)

var sources = map[string]Loader{}

// Register makes a source known to Load by name; a name registered again gets
// the new loader.
func Register(name string, load Loader) { sources[name] = load }

// Sources lists the names that Load knows.
func Sources() []string {
	var names []string
	for n := range sources {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Load reads one split of a dataset from path:
//
//   - A file (JSON lines, optionally gzipped) serves as both splits; give each
//     split its own path where that is not wanted. Only se takes its splits
//     out of one file, as the reference does.
//   - In a directory, files named for the split are read: train.jsonl.gz,
//     harmless-base/test.jsonl. Several are joined in the order of their
//     paths, which is the order in which the Hub's datasets library joins them.
func Load(name, path string, split Split) (*Dataset, error) {
	load := sources[name]
	if load == nil {
		return nil, fmt.Errorf("data: unknown dataset %q, want one of %s", name, strings.Join(Sources(), ", "))
	}
	if split != Train && split != Test {
		return nil, fmt.Errorf("data: unknown split %q, want %s or %s", split, Train, Test)
	}
	set, err := load(path, split)
	if err != nil {
		return nil, err
	}
	if len(set.Prompts) == 0 {
		return nil, fmt.Errorf("data: %s: no preference pairs for the %s split", path, split)
	}
	return set, nil
}

// lineFiles are the endings of files of JSON lines.
var lineFiles = []string{".jsonl", ".json", ".jsonl.gz", ".json.gz"}

// find lists the files of path: path itself or, of a directory, those that
// belong to the split (all of them if split is empty), sorted.
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
		if err == nil && !d.IsDir() && ofSplit(d.Name(), split) {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("data: %s: no file %s{%s} in this directory", path, cmp.Or(string(split), "*"), strings.Join(lineFiles, ","))
	}
	sort.Strings(files)
	return files, nil
}

// ofSplit reports whether a file of JSON lines is named for the split:
// "train.jsonl", "train-00000-of-00002.jsonl.gz", but not "training.jsonl".
func ofSplit(name string, split Split) bool {
	if !slices.ContainsFunc(lineFiles, func(end string) bool { return strings.HasSuffix(name, end) }) {
		return false
	}
	rest, ok := strings.CutPrefix(name, string(split))
	return ok && (split == "" || !isWordByte(rest[0]))
}

func isWordByte(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
