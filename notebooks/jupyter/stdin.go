package jupyter

import (
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"time"
)

var (
	errNoInput     = errors.New("input: the front end cannot be asked here (allow_stdin is false)")
	errNoStdin     = errors.New("input: the front end does not listen on its stdin channel")
	errInputStop   = errors.New("input: interrupted")
	errNoCell      = errors.New("input: no cell is running")
	errKernelEnded = errors.New("input: the kernel ends")
)

// stdinPatience is how long a front end may take to open its stdin channel.
const stdinPatience = 5 * time.Second

// input is the question that a cell has asked.
type input struct {
	asking sync.Mutex // one question at a time

	mu       sync.Mutex
	identity string      // who is asked
	question string      // the message that asks
	answers  chan string // nil while nobody is
	stopped  chan struct{}
}

// begin prepares for a cell: what stopped the last one does not concern it.
func (in *input) begin() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopped = make(chan struct{})
}

// cancel ends the questions of the cell that runs.
func (in *input) cancel() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stopped == nil {
		return
	}
	select {
	case <-in.stopped:
	default:
		close(in.stopped)
	}
}

// ask asks the front end that runs the cell for a line of text.
func (k *Kernel) ask(prompt string, password bool) (string, error) {
	e := k.origin()
	switch {
	case e == nil:
		return "", errNoCell
	case !e.mayAsk:
		return "", errNoInput
	}
	in := &k.input
	in.asking.Lock()
	defer in.asking.Unlock()
	identity := e.request.peer.Identity()
	peer := k.channels.stdin.Peer(identity, time.Now().Add(stdinPatience))
	if peer == nil {
		return "", errNoStdin
	}
	answers, question := make(chan string, 1), rand.Text()
	in.mu.Lock()
	in.identity, in.question, in.answers = identity, question, answers
	stopped := in.stopped
	in.mu.Unlock()
	defer func() {
		in.mu.Lock()
		in.answers = nil
		in.mu.Unlock()
	}()
	k.settle()
	frames, err := k.writer.frames(nil, outgoing{id: question, kind: "input_request", parent: e.parent(), content: struct {
		Prompt   string `json:"prompt"`
		Password bool   `json:"password"`
	}{prompt, password}})
	if err != nil {
		return "", err
	}
	peer.Send(frames, false)
	select {
	case line := <-answers:
		return line, nil
	case <-stopped:
		return "", errInputStop
	case <-k.stop:
		return "", errKernelEnded
	}
}

// stdin takes answers. Front ends need not say which question they answer; if
// they do, one to an earlier question, whose cell was interrupted, is dropped.
func (k *Kernel) stdin(r *request) {
	if r.header.Type != "input_reply" {
		k.log.Printf("dropped a message of type %.80q on stdin", r.header.Type)
		return
	}
	var content struct {
		Value string `json:"value"`
	}
	if err := r.read(&content); err != nil {
		k.log.Print(err)
		return
	}
	in := &k.input
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.answers == nil || in.identity != r.peer.Identity() || r.parent.ID != "" && r.parent.ID != in.question {
		return
	}
	in.answers <- content.Value
	in.answers = nil
}

// stdinReader is standard input of cells: fmt.Scan and its kin ask the front
// end for a line when there is none left.
type stdinReader struct{ kernel *Kernel }

func (s stdinReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	k := s.kernel
	k.lines.Lock()
	defer k.lines.Unlock()
	if len(k.lines.left) == 0 {
		line, err := k.ask("", false)
		switch {
		case errors.Is(err, errInputStop), errors.Is(err, errKernelEnded):
			return 0, io.EOF // the cell is about to stop
		case err != nil:
			panic(err) // a program that ignores errors of Scan would go on with nothing
		}
		k.lines.left = line + "\n"
	}
	n := copy(p, k.lines.left)
	k.lines.left = k.lines.left[n:]
	return n, nil
}

// lines is what has been read of standard input and not been taken.
type lines struct {
	sync.Mutex
	left string
}
