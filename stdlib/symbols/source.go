package symbols

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:embed source
var sources embed.FS

// Source returns our Go source of the generic functions and types of a
// package, a whole file that names the package as the original does, and
// whether there is any. What it declares has the signatures of the originals.
// It imports other packages by their usual paths, in sync, errors, reflect and
// math/rand/v2 the original package itself.
func Source(importPath string) (string, bool) {
	dir := path.Join("source", importPath)
	entries, err := fs.ReadDir(sources, dir)
	if err != nil {
		return "", false
	}
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".go") {
			text, err := fs.ReadFile(sources, path.Join(dir, e.Name()))
			return string(text), err == nil
		}
	}
	return "", false
}
