package display

import (
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"reflect"
	"regexp"
	"strings"
)

// plain is the form that every bundle has.
const plain = "text/plain"

// formed are values that show themselves in several forms.
type formed interface{ MIME() map[string]string }

// Value shows v: richly if it has a MIME method, as text otherwise.
func Value(v any) { Show(Of(v)) }

// Of is v as a bundle: what its MIME method says, with its text added, or its
// text alone. Hosts use it for the last value of a cell.
func Of(v any) map[string]string {
	r, ok := v.(formed)
	if value := reflect.ValueOf(v); !ok || value.Kind() == reflect.Pointer && value.IsNil() {
		return OfText(fmt.Sprint(v))
	}
	bundle := r.MIME()
	if _, ok := bundle[plain]; ok {
		return bundle
	}
	bundle = maps.Clone(bundle)
	if bundle == nil {
		bundle = map[string]string{}
	}
	bundle[plain] = fmt.Sprint(v)
	return bundle
}

// OfText is text as a bundle.
func OfText(text string) map[string]string { return map[string]string{plain: text} }

// OfHTML is a page fragment as a bundle. Its text is the fragment without tags.
func OfHTML(fragment string) map[string]string {
	return map[string]string{"text/html": fragment, plain: untagged(fragment)}
}

// Text shows plain text.
func Text(text string) { Show(OfText(text)) }

// HTML shows a fragment of a page; a terminal shows it without tags.
func HTML(fragment string) { Show(OfHTML(fragment)) }

// Markdown shows text with marks; a terminal shows it as it is.
func Markdown(text string) { Show(map[string]string{"text/markdown": text, plain: text}) }

// SVG shows a drawing.
func SVG(document string) {
	Show(map[string]string{"image/svg+xml": document, plain: fmt.Sprintf("[SVG, %d bytes]", len(document))})
}

// PNG shows an image file's content.
func PNG(image []byte) {
	Show(map[string]string{"image/png": base64.StdEncoding.EncodeToString(image), plain: fmt.Sprintf("[PNG, %d bytes]", len(image))})
}

var (
	blocks = regexp.MustCompile(`(?i)<br\s*/?>|</(p|div|tr|h[1-6]|li|pre|table)>`)
	cells  = regexp.MustCompile(`(?i)</t[dh]>`)
	tags   = regexp.MustCompile(`(?s)<(style|script).*?</(style|script)>|<[^>]*>`)
)

// untagged is the text of a fragment: a line per block, cells apart.
func untagged(fragment string) string {
	text := cells.ReplaceAllString(blocks.ReplaceAllString(fragment, "\n"), "  ")
	return strings.TrimSpace(html.UnescapeString(tags.ReplaceAllString(text, "")))
}

// whole adds text to a bundle that has none.
func whole(bundle map[string]string) map[string]string {
	if _, ok := bundle[plain]; ok {
		return bundle
	}
	out := maps.Clone(bundle)
	if out == nil {
		out = map[string]string{}
	}
	switch {
	case out["text/markdown"] != "":
		out[plain] = out["text/markdown"]
	case out["text/html"] != "":
		out[plain] = untagged(out["text/html"])
	default:
		out[plain] = fmt.Sprintf("[a display of %d forms, none of them text]", len(out))
	}
	return out
}
