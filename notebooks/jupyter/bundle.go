package jupyter

import (
	"encoding/json"
	"reflect"
	"strings"
)

const plain = "text/plain"

// bundleOf is a cell's value in all the forms it has: those of its method
//
//	MIME() map[string]string
//
// and always text.
func bundleOf(text string, values []any) map[string]string {
	bundle := map[string]string{}
	if len(values) == 1 {
		for mime, data := range richly(values[0]) {
			bundle[mime] = data
		}
	}
	if bundle[plain] == "" {
		bundle[plain] = text
	}
	return bundle
}

// richly calls a value's MIME method, also if only its address has one. A method
// that panics, as that of a nil pointer may, shows nothing.
func richly(v any) (bundle map[string]string) {
	defer func() {
		if recover() != nil {
			bundle = nil
		}
	}()
	type shower interface{ MIME() map[string]string }
	if s, ok := v.(shower); ok {
		return s.MIME()
	}
	if v == nil || !reflect.PointerTo(reflect.TypeOf(v)).Implements(reflect.TypeFor[shower]()) {
		return nil
	}
	p := reflect.New(reflect.TypeOf(v))
	p.Elem().Set(reflect.ValueOf(v))
	return p.Interface().(shower).MIME()
}

// decode gives a bundle the form of messages: JSON as it is, everything else as
// text.
func decode(bundle map[string]string) map[string]any {
	out := make(map[string]any, len(bundle))
	for mime, data := range bundle {
		base, _, _ := strings.Cut(mime, ";")
		if (base == "application/json" || strings.HasSuffix(base, "+json")) && json.Valid([]byte(data)) {
			out[mime] = json.RawMessage(data)
			continue
		}
		out[mime] = strings.ToValidUTF8(data, "\uFFFD")
	}
	return out
}
