package symbols

import (
	"archive/zip"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"sync"
)

//go:embed export.zip
var exportData string

//go:embed doc.zip
var docData string

// archive is an embedded file that holds one member per import path.
type archive struct {
	open func() map[string]*zip.File
}

func newArchive(data *string) *archive {
	return &archive{sync.OnceValue(func() map[string]*zip.File {
		r, err := zip.NewReader(strings.NewReader(*data), int64(len(*data)))
		if err != nil {
			panic("symbols: embedded archive: " + err.Error())
		}
		members := make(map[string]*zip.File, len(r.File))
		for _, f := range r.File {
			members[f.Name] = f
		}
		return members
	})}
}

// read returns a member, unpacked; nil if there is none.
func (a *archive) read(path string) ([]byte, error) {
	f := a.open()[path]
	if f == nil {
		return nil, nil
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("symbols: %s: %w", path, err)
	}
	defer r.Close()
	return io.ReadAll(r)
}
