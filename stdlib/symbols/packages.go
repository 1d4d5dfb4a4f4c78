package symbols

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/agnivade/levenshtein"

	"dpolab/stdlib/symbols/internal/table"
)

// Packages returns the import paths of all packages that cells can import, in
// order.
func Packages() []string {
	paths := make([]string, len(table.Packages))
	for i, p := range table.Packages {
		paths[i] = p.Path
	}
	return paths
}

// PackageName returns the name that a package declares, and whether cells can
// import it.
func PackageName(path string) (string, bool) {
	p := table.Lookup(path)
	if p == nil {
		return "", false
	}
	return p.Name, true
}

// Missing returns the exported names of a package that interpreted code cannot
// use although they type-check.
func Missing(path string) []string {
	p := table.Lookup(path)
	if p == nil {
		return nil
	}
	return append([]string(nil), p.Missing...)
}

// unavailable says that a package cannot be imported, and why or what could.
func unavailable(importPath string) error {
	for _, e := range table.Excluded {
		if e[0] == importPath {
			return fmt.Errorf("package %q is not available in cells: %s", importPath, e[1])
		}
	}
	if near := nearest(importPath); len(near) > 0 {
		return fmt.Errorf("package %q is not available in cells; nearest: %s", importPath, strings.Join(near, ", "))
	}
	return fmt.Errorf("package %q is not available in cells", importPath)
}

// nearest returns up to three importable paths that could have been meant:
// those with the same last part, or a path or last part a few letters away.
func nearest(importPath string) []string {
	type candidate struct {
		path     string
		distance int
	}
	var all []candidate
	last := path.Base(importPath)
	for _, p := range table.Packages {
		d := min(levenshtein.ComputeDistance(importPath, p.Path), levenshtein.ComputeDistance(last, path.Base(p.Path)), levenshtein.ComputeDistance(last, p.Name))
		if d <= max(1, len(last)/3) {
			all = append(all, candidate{p.Path, d})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].distance < all[j].distance })
	var paths []string
	for _, c := range all[:min(3, len(all))] {
		paths = append(paths, c.path)
	}
	return paths
}
