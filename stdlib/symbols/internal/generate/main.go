// Generate writes what dpolab/stdlib/symbols knows of importable packages: the
// tables of the interpreter, the export data that cells are type-checked
// against, and the documentation that they can ask for.
//
//	go generate ./stdlib/symbols
//
// It needs the go command, and works from the packages as they compile now.
// The same packages give the same files, byte for byte. Which packages are
// covered stands in list.go.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/types"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/tools/go/gcexportdata"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("generate: ")
	dir := flag.String("dir", ".", "the folder of package symbols")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	if err := run(*dir); err != nil {
		log.Fatal(err)
	}
}

func run(dir string) error {
	pkgs, err := load(dir)
	if err != nil {
		return err
	}
	tables := filepath.Join(dir, "internal", "table")
	old, err := filepath.Glob(filepath.Join(tables, "z_*.go"))
	if err != nil {
		return err
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	var exports, docs []member
	var names []string
	for _, p := range pkgs {
		source, err := sourced(filepath.Join(dir, "source", p.ImportPath))
		if err != nil {
			return err
		}
		keep := func(types.Object) bool { return true }
		if portable[p.ImportPath] {
			if keep, err = same(dir, p.ImportPath); err != nil {
				return err
			}
		}
		text, missing, err := emit(p.Types, source, keep)
		if err != nil {
			return fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		if len(missing) > 20 {
			log.Printf("%s: %d names left out", p.ImportPath, len(missing))
		} else if len(missing) > 0 {
			log.Printf("%s: left out: %s", p.ImportPath, strings.Join(missing, " "))
		}
		if err := os.WriteFile(filepath.Join(tables, "z_"+flat(p.ImportPath)+".go"), text, 0o666); err != nil {
			return err
		}
		names = append(names, p.ImportPath)

		// Positions name files of this machine, so there are none.
		var data bytes.Buffer
		if err := gcexportdata.Write(&data, nil, p.Types); err != nil {
			return fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		exports = append(exports, member{p.ImportPath, data.Bytes()})
		doc, err := document(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		docs = append(docs, member{p.ImportPath, doc})
	}
	if err := os.WriteFile(filepath.Join(tables, "z_packages.go"), index(names), 0o666); err != nil {
		return err
	}
	if err := writeArchive(filepath.Join(dir, "export.zip"), exports); err != nil {
		return err
	}
	return writeArchive(filepath.Join(dir, "doc.zip"), docs)
}

// flat turns an import path into part of a file or identifier name.
func flat(path string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '.' || r == '-' {
			return '_'
		}
		return r
	}, path)
}

// release is the Go release whose standard library is covered, such as go1.26.
func release() string {
	v := runtime.Version()
	parts := strings.SplitN(v, ".", 3)
	if len(parts) < 2 {
		return v
	}
	return parts[0] + "." + parts[1]
}
