package symbols

import (
	"encoding/json"
	"sync"
)

var docs = newArchive(&docData)

// read documentation by import path
var docTexts sync.Map

// Doc returns the first paragraph of the documentation of a package (name ""),
// of a function, type, variable or constant, or of a method or field, named
// "Type.Name"; "" if there is none.
func Doc(path, name string) string {
	texts, ok := docTexts.Load(path)
	if !ok {
		texts, _ = docTexts.LoadOrStore(path, readDoc(path))
	}
	return texts.(map[string]string)[name]
}

func readDoc(path string) map[string]string {
	data, err := docs.read(path)
	if err != nil || data == nil {
		return nil
	}
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err != nil {
		panic("symbols: documentation of " + path + ": " + err.Error())
	}
	return texts
}
