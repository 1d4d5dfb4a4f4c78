// Command convert makes the notebooks beside programs that are written in
// cells. Outputs of cells that have not changed are kept.
//
//	go run ./notebooks/internal/convert notebooks/examples/*.go
package main

import (
	"fmt"
	"os"
	"strings"

	"dpolab/notebooks/internal/cells"
)

func main() {
	for _, path := range os.Args[1:] {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		if err := convert(path); err != nil {
			fmt.Fprintf(os.Stderr, "convert: %s: %v\n", path, err)
			os.Exit(1)
		}
	}
}

func convert(path string) error {
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	list, err := cells.Parse(string(program))
	if err != nil {
		return err
	}
	target := strings.TrimSuffix(path, ".go") + ".ipynb"
	old, err := os.ReadFile(target)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	file, err := cells.Write(list, old)
	if err != nil {
		return err
	}
	return os.WriteFile(target, file, 0o644)
}
