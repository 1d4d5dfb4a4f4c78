package symbols

import (
	"bytes"
	"go/token"
	"go/types"
	"sync"

	"golang.org/x/tools/go/gcexportdata"
)

// Importer returns an importer for go/types of all packages that cells can
// import. It decodes the embedded export data of a package on first use. All
// importers give the same packages, so types from different calls are
// identical; declarations have no positions. It is safe for concurrent use.
func Importer(fset *token.FileSet) types.ImporterFrom {
	return importer{fset}
}

type importer struct{ fset *token.FileSet }

func (i importer) Import(path string) (*types.Package, error) {
	return decoded.load(i.fset, path)
}

func (i importer) ImportFrom(path, dir string, mode types.ImportMode) (*types.Package, error) {
	return decoded.load(i.fset, path)
}

// decoded holds the packages met so far; those that only lend types to others
// are there too, incomplete.
var decoded = &cache{archive: newArchive(&exportData), packages: map[string]*types.Package{}}

type cache struct {
	archive  *archive
	mu       sync.Mutex
	packages map[string]*types.Package
}

func (c *cache) load(fset *token.FileSet, path string) (*types.Package, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.packages[path]; p != nil && p.Complete() && path != "unsafe" {
		return p, nil
	}
	data, err := c.archive.read(path)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, unavailable(path)
	}
	return gcexportdata.Read(bytes.NewReader(data), fset, c.packages, path)
}
