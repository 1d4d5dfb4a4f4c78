package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"io"
	"os"
)

// member is one file of an archive, named by the import path it is about.
type member struct {
	path string
	data []byte
}

// writeArchive packs members so that each can be unpacked alone. It writes no
// times: equal members give an equal file.
func writeArchive(name string, members []member) error {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.path, Method: zip.Deflate})
		if err != nil {
			return err
		}
		if _, err := f.Write(m.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, out.Bytes(), 0o666)
}
