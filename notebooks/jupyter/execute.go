package jupyter

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"dpolab/repl"
)

// executeRequest is the content of execute_request; fields left out have the
// protocol's defaults.
type executeRequest struct {
	Code            string            `json:"code"`
	Silent          bool              `json:"silent"`
	StoreHistory    bool              `json:"store_history"`
	UserExpressions map[string]string `json:"user_expressions"`
	AllowStdin      bool              `json:"allow_stdin"`
	StopOnError     bool              `json:"stop_on_error"`
}

type executeReply struct {
	Status          string         `json:"status"`
	Count           int            `json:"execution_count"`
	Payload         []any          `json:"payload"`
	UserExpressions map[string]any `json:"user_expressions"`
}

// executeFailure is the reply of a cell that failed.
type executeFailure struct {
	failure
	Count           int            `json:"execution_count"`
	Payload         []any          `json:"payload"`
	UserExpressions map[string]any `json:"user_expressions"`
}

// executeAll runs cells, one after the other, until the queue is closed.
func (k *Kernel) executeAll() {
	for {
		r, ok := k.queue.take()
		if !ok {
			return
		}
		if k.queue.aborted(r) {
			k.abort(r)
			continue
		}
		k.serve(r, func(r *request) (kind string, content any) { return "execute_reply", k.execute(r) })
		for _, r := range k.queue.behind() {
			k.abort(r)
		}
	}
}

// abort answers a cell that stands behind one that failed.
func (k *Kernel) abort(r *request) {
	k.serve(r, func(*request) (string, any) {
		f := failed("Aborted", "a cell before this one failed")
		f.Status, f.Traceback = "aborted", []string{}
		return "execute_reply", executeFailure{f, k.count, []any{}, map[string]any{}}
	})
}

// execute runs a cell. If it fails, the queue knows before anyone else can: what
// is asked for after that runs.
func (k *Kernel) execute(r *request) (reply any) {
	ask := executeRequest{StoreHistory: true, StopOnError: true}
	if err := r.read(&ask); err != nil {
		k.queue.fail()
		return executeFailure{failed("MessageError", err.Error()), k.count, []any{}, map[string]any{}}
	}
	if ask.Silent {
		ask.StoreHistory = false
	}
	empty := strings.TrimSpace(ask.Code) == ""
	if ask.StoreHistory && !empty {
		k.count++
	}
	e := &execution{request: r, code: ask.Code, name: fmt.Sprintf("cell %d", k.count), count: k.count, silent: ask.Silent, mayAsk: ask.AllowStdin, notebook: cellID(r.metadata)}
	k.current.Store(e)
	k.origins.mark(e)
	if !e.silent {
		k.publish(r.rawHeader, "execute_input", struct {
			Code  string `json:"code"`
			Count int    `json:"execution_count"`
		}{ask.Code, k.count})
	}
	var err error
	if !empty {
		k.sources.add(e.name, ask.Code)
		err = k.run(e)
	}
	k.settle()
	if ask.StoreHistory && !empty {
		k.history.add(k.count, ask.Code, e.shown)
	}
	if e.payload == nil {
		e.payload = []any{}
	}
	if err != nil {
		f := k.failureOf(err)
		if ask.StopOnError {
			k.queue.fail()
		}
		if !e.silent {
			k.publish(r.rawHeader, "error", struct {
				Name      string   `json:"ename"`
				Value     string   `json:"evalue"`
				Traceback []string `json:"traceback"`
			}{f.Name, f.Value, f.Traceback})
		}
		return executeFailure{f, k.count, e.payload, map[string]any{}}
	}
	return executeReply{"ok", k.count, e.payload, k.expressions(e, ask.UserExpressions)}
}

// run runs a cell or a command. The session recovers from what cells do; what
// goes wrong in the kernel itself must not end it either.
func (k *Kernel) run(e *execution) (err error) {
	defer func() {
		if p := recover(); p != nil {
			k.log.Printf("%s: %v\n%s", e.name, p, debug.Stack())
			err = fmt.Errorf("the kernel failed: %v", p)
		}
	}()
	k.input.begin()
	err = k.entries.Do(e.count, e.code)
	if k.entries.Ended() { // a console leaves and ends the kernel, a notebook asks
		e.payload = append(e.payload, map[string]any{"source": "ask_exit", "keepkernel": false})
	}
	var c *repl.CellError
	if errors.As(err, &c) && c.Kind == "exit" && c.Status == 0 {
		return nil // the program in the cell has ended well; the kernel goes on
	}
	return err
}

// expressions evaluates what the front end wants to know after a cell.
func (k *Kernel) expressions(e *execution, asked map[string]string) map[string]any {
	out := map[string]any{}
	for name, text := range asked {
		x := &execution{request: e.request, code: text, name: "expression " + name, count: e.count, private: true}
		k.current.Store(x)
		k.origins.mark(x)
		k.input.begin()
		k.sources.add(x.name, text)
		if err := k.session.Run(x.name, text); err != nil {
			out[name] = k.failureOf(err)
			continue
		}
		if x.value == nil {
			x.value = map[string]any{}
		}
		out[name] = struct {
			Status   string         `json:"status"`
			Data     map[string]any `json:"data"`
			Metadata struct{}       `json:"metadata"`
		}{Status: "ok", Data: x.value}
	}
	k.current.Store(e)
	k.origins.mark(e)
	k.settle()
	return out
}

// show takes the value of a cell's last expression.
func (k *Kernel) show(text string, values []any) {
	e := k.origin()
	bundle := bundleOf(text, values)
	if e == nil || e.silent {
		return
	}
	if e.private {
		e.value = decode(bundle)
		return
	}
	k.settle()
	e.shown = bundle["text/plain"]
	kind := "execute_result"
	if e.displayed { // a second one, such as that of a script run within a cell
		kind = "display_data"
	}
	e.displayed = true
	content := struct {
		Count    int            `json:"execution_count,omitempty"`
		Data     map[string]any `json:"data"`
		Metadata struct{}       `json:"metadata"`
	}{Data: decode(bundle)}
	if kind == "execute_result" {
		content.Count = e.count
	}
	k.publish(e.parent(), kind, content)
}

// page shows text beside the notebook.
func (k *Kernel) page(text string) {
	if e := k.origin(); e != nil {
		e.payload = append(e.payload, struct {
			Source string            `json:"source"`
			Data   map[string]string `json:"data"`
			Start  int               `json:"start"`
		}{"page", map[string]string{"text/plain": text}, 0})
	}
}

// cellID is the notebook's name for a cell, which front ends may add.
func cellID(metadata json.RawMessage) string {
	var m struct {
		CellID string `json:"cellId"`
	}
	if json.Unmarshal(metadata, &m) != nil {
		return ""
	}
	return m.CellID
}
