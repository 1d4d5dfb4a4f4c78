package jupyter

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"dpolab/notebooks/jupyter/internal/zmtp"
	"dpolab/repl"
	"dpolab/repl/terminal"
)

// Options say what a kernel serves and reaches.
type Options struct {
	Connection Connection
	// Version is the program's, shown in the banner.
	Version string
	// Context is told of each cell's context, as [repl.Options] says.
	Context func(context.Context)
	// Memory describes what devices hold, for %mem and the dpolab.session comm;
	// nil if there are none.
	Memory func() string
	// Reset frees what compiled packages hold, for %reset and at the end.
	Reset func()
	// History is the file that cells are kept in; empty for none.
	History string
	// Log takes lines about the kernel itself, such as messages that were
	// dropped; nil is the standard error that the process began with.
	Log io.Writer
}

// linger is how long the last messages may take to reach their readers.
const linger = time.Second

// Kernel serves one front end, or several, with one session.
type Kernel struct {
	options  Options
	log      *log.Logger
	writer   *writer
	signer   *signer
	channels *channels
	open     chan struct{} // closed once channels is set
	session  *repl.Session
	entries  *terminal.Terminal // commands, and the cells that ran
	history  *history
	queue    executeQueue
	origins  origins
	streams  *streams
	captured []*capture
	displays displays
	comms    comms
	input    input
	lines    lines
	sources  sources
	states   states

	count   int // of cells
	current atomic.Pointer[execution]
	ending  sync.Once
	stop    chan struct{} // closed when the kernel is to end
}

// Run serves until a front end asks for the end, or the context ends.
func Run(ctx context.Context, o Options) error {
	k := &Kernel{options: o, open: make(chan struct{}), stop: make(chan struct{})}
	k.queue.init()
	k.streams = newStreams(k.sendStream)
	if err := k.capture(); err != nil {
		return err
	}
	defer k.release()
	var err error
	if k.signer, err = newSigner(o.Connection.Key, o.Connection.SignatureScheme); err != nil {
		return err
	}
	k.writer = &writer{k.signer, rand.Text()}
	if k.session, err = repl.NewSession(repl.Options{
		Stdin: stdinReader{k}, Stdout: cellWriter{k, stdout}, Stderr: cellWriter{k, stderr}, Show: k.show, Context: o.Context,
	}); err != nil {
		return err
	}
	k.entries = terminal.New(terminal.Options{
		Session: k.session, Stdout: cellWriter{k, stdout}, Stderr: cellWriter{k, stderr}, Memory: o.Memory, Reset: o.Reset, Page: k.page,
	})
	if k.history, err = openHistory(o.History); err != nil {
		k.log.Printf("history is not kept: %v", err)
		k.history, _ = openHistory("")
	}
	defer k.history.close()
	k.registerSession()
	k.connectDisplay()
	defer k.disconnectDisplay()
	if k.channels, err = openChannels(o.Connection,
		k.handler(k.shell), k.handler(k.control), k.handler(k.stdin),
		zmtp.Handler{Subscribed: k.welcome, Log: k.log.Printf},
		zmtp.Handler{Receive: func(p *zmtp.Peer, m zmtp.Message) { p.Send(m, false) }, Log: k.log.Printf},
	); err != nil {
		return err
	}
	close(k.open)
	k.publish(nil, "status", status{"starting"})
	executed := make(chan struct{})
	go func() {
		defer close(executed)
		k.executeAll()
	}()
	k.watchParent()
	k.watchSignals()
	select {
	case <-ctx.Done():
	case <-k.stop:
	}
	k.end()
	k.queue.close()
	k.interrupt()
	select {
	case <-executed:
	case <-time.After(linger):
		k.log.Printf("a cell does not stop; ending without it")
	}
	k.settle()
	k.channels.close(linger)
	if o.Reset != nil {
		o.Reset()
	}
	return nil
}

// end begins the end of the kernel.
func (k *Kernel) end() { k.ending.Do(func() { close(k.stop) }) }

// handler gives messages of a channel, once checked, to fn.
func (k *Kernel) handler(fn func(r *request)) zmtp.Handler {
	return zmtp.Handler{Log: k.log.Printf, Receive: func(p *zmtp.Peer, frames zmtp.Message) {
		<-k.open
		m, err := parse(frames, k.signer)
		if err != nil {
			k.log.Printf("dropped a message: %v", err)
			return
		}
		fn(&request{message: m, peer: p})
	}}
}

// request is a message and the peer that waits for the answer.
type request struct {
	*message
	peer *zmtp.Peer
}

// reply answers a request.
func (k *Kernel) reply(r *request, kind string, content any) {
	frames, err := k.writer.frames(r.routing, outgoing{kind: kind, parent: r.rawHeader, content: content})
	if err != nil {
		k.log.Printf("%s: %v", kind, err)
		return
	}
	r.peer.Send(frames, false)
}

// answer is what a handler returns: the type of the reply, empty for none, and
// its content.
type answer func(r *request) (kind string, content any)

// serve answers a request between the states busy and idle.
func (k *Kernel) serve(r *request, fn answer) {
	k.states.begin(k, r)
	defer k.states.end(k, r)
	kind, content := k.protected(r, fn)
	if kind != "" {
		k.reply(r, kind, content)
	}
}

// protected turns a panic of a handler into a reply: the front end waits for
// one.
func (k *Kernel) protected(r *request, fn answer) (kind string, content any) {
	defer func() {
		if p := recover(); p != nil {
			k.log.Printf("%s: %v\n%s", r.header.Type, p, debug.Stack())
			kind, content = replyType(r.header.Type), failed("InternalError", fmt.Sprint(p))
		}
	}()
	return fn(r)
}

// shell takes requests. What needs no cell is answered at once, also while one
// runs.
func (k *Kernel) shell(r *request) {
	switch r.header.Type {
	case "execute_request":
		k.queue.put(r)
	case "shutdown_request": // deprecated on shell, but older front ends use it
		k.shutdown(r)
	default:
		if fn := k.answerOf(r.header.Type); fn != nil {
			k.serve(r, fn)
		} else {
			k.unknown(r)
		}
	}
}

// control takes requests that do not wait for others.
func (k *Kernel) control(r *request) {
	switch r.header.Type {
	case "interrupt_request":
		k.serve(r, func(*request) (string, any) {
			k.interrupt()
			return "interrupt_reply", statusOK
		})
	case "shutdown_request":
		k.shutdown(r)
	case "kernel_info_request":
		k.serve(r, k.info)
	default:
		k.unknown(r)
	}
}

func (k *Kernel) answerOf(kind string) answer {
	switch kind {
	case "kernel_info_request":
		return k.info
	case "complete_request":
		return k.complete
	case "inspect_request":
		return k.inspect
	case "is_complete_request":
		return k.isComplete
	case "history_request":
		return k.askHistory
	case "comm_info_request":
		return k.commInfo
	case "comm_open":
		return k.commOpen
	case "comm_msg":
		return k.commMessage
	case "comm_close":
		return k.commClose
	case "connect_request":
		return k.connect
	}
	return nil
}

// unknown takes a message of a type the kernel does not serve: it is logged, and
// not answered, as the protocol asks.
func (k *Kernel) unknown(r *request) {
	k.serve(r, func(*request) (string, any) {
		k.log.Printf("dropped a message of unknown type %.80q", r.header.Type)
		return "", nil
	})
}

// shutdown answers on the channel of the request and to everyone, then ends the
// kernel.
func (k *Kernel) shutdown(r *request) {
	k.serve(r, func(*request) (string, any) {
		var ask struct {
			Restart bool `json:"restart"`
		}
		if err := r.read(&ask); err != nil {
			return "shutdown_reply", failed("MessageError", err.Error())
		}
		content := struct {
			Status  string `json:"status"`
			Restart bool   `json:"restart"`
		}{"ok", ask.Restart}
		k.publish(r.rawHeader, "shutdown_reply", content)
		defer time.AfterFunc(0, k.end) // behind the status
		return "shutdown_reply", content
	})
}

// interrupt stops the cell that runs.
func (k *Kernel) interrupt() {
	k.input.cancel()
	k.session.Interrupt()
}

// parentPoll is how often the kernel looks whether the process that started it
// is still there.
const parentPoll = time.Second

// watchParent ends the kernel when the server that started it has died: nobody
// else would.
func (k *Kernel) watchParent() {
	parent := os.Getppid()
	if os.Getenv("JPY_PARENT_PID") != fmt.Sprint(parent) {
		return // started by something that may end before the server, such as a shell
	}
	go func() {
		for os.Getppid() == parent {
			select {
			case <-time.After(parentPoll):
			case <-k.stop:
				return
			}
		}
		k.log.Printf("the process that started the kernel is gone")
		k.end()
	}()
}
