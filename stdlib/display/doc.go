// Package display shows things where the program runs: below the cell of a
// notebook, or in the terminal.
//
//	display.HTML("<b>done</b>")
//	display.Markdown("the loss *falls*")
//	t := display.NewTable("beta", "loss", "accuracy")
//	t.Row("0.1", "0.52", "0.81").Row("0.5", "0.61", "0.78")
//	t.Show()
//
// The same program shows the same in dpolab's own Jupyter kernel, in GoNB and in
// a terminal: the host is found when something is shown. A [Backend] is what a
// host does with it; [SetBackend] is for hosts.
//
// # Bundles
//
// A bundle is one thing in several forms, text by MIME type: "text/html",
// "text/markdown", "image/svg+xml", "image/png" in base64, and always
// "text/plain", which is what a terminal shows and what a saved notebook falls
// back to. Nothing in a bundle needs scripts, so a saved notebook looks the same
// in JupyterLab, VS Code and nbviewer.
//
// # Values that show themselves
//
// A type with the method
//
//	MIME() map[string]string
//
// shows richly in every host, as the last value of a cell and through [Value].
// Models, tensors, batches, histories, memory reports and figures are such
// types.
//
// # Displays that change
//
// [Update] with an id from [NewID] shows something the first time and replaces
// it every further time:
//
//	id := display.NewID()
//	for i := range 10 {
//		display.Update(id, display.OfText(fmt.Sprint(i, " of 10")))
//	}
//	display.Settle(id)
//
// In a terminal it is drawn over in place, on standard error, until [Settle]
// leaves it where it is; piped, it says nothing. Notebooks limit messages: four
// updates a second are enough for any eye.
//
// # Errors
//
// What fails panics with *[Error], in one line.
package display
