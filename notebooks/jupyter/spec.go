package jupyter

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

//go:embed logo
var logos embed.FS

// SpecOptions say where a kernel is installed.
type SpecOptions struct {
	// Name is that of the kernel's folder; "dpolab" by default.
	Name string
	// DisplayName is what notebooks show; "Go (dpolab)" by default, with the name
	// if that is another.
	DisplayName string
	// Prefix installs below PREFIX/share/jupyter, as into a virtual environment;
	// empty installs for the user.
	Prefix string
	// Binary is the program to start; by default the running one.
	Binary string
}

// DefaultName is the name of the kernel unless another is given.
const DefaultName = "dpolab"

var namePattern = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// Install makes the kernel known to Jupyter, and returns the folder that says
// so. A program that lies in a temporary folder, as that of go run does, is
// copied beside the specification, or the kernel would be gone with it.
func Install(o SpecOptions) (folder string, err error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if !namePattern.MatchString(o.Name) {
		return "", fmt.Errorf("kernel name: want letters, digits, dots, dashes and underscores, got %q", o.Name)
	}
	if o.DisplayName == "" {
		o.DisplayName = "Go (dpolab)"
		if o.Name != DefaultName {
			o.DisplayName = "Go (" + o.Name + ")"
		}
	}
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return "", err
		}
	}
	if o.Binary, err = filepath.Abs(o.Binary); err != nil {
		return "", err
	}
	data := filepath.Join(o.Prefix, "share", "jupyter")
	if o.Prefix == "" {
		if data, err = userData(); err != nil {
			return "", err
		}
	}
	if folder, err = filepath.Abs(filepath.Join(data, "kernels", o.Name)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	if temporary(o.Binary) {
		to := filepath.Join(folder, filepath.Base(o.Binary))
		if err := copyProgram(o.Binary, to); err != nil {
			return "", err
		}
		o.Binary = to
	}
	return folder, writeSpec(folder, o)
}

func writeSpec(folder string, o SpecOptions) error {
	spec, err := json.MarshalIndent(map[string]any{
		"argv":           []string{o.Binary, "kernel", "run", "{connection_file}"},
		"display_name":   o.DisplayName,
		"language":       "go",
		"interrupt_mode": "message",
		"metadata":       map[string]any{"debugger": false},
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "kernel.json"), append(spec, '\n'), 0o644); err != nil {
		return err
	}
	files, err := fs.ReadDir(logos, "logo")
	if err != nil {
		return err
	}
	for _, f := range files {
		image, err := fs.ReadFile(logos, "logo/"+f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, f.Name()), image, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// userData is Jupyter's folder of the user.
func userData() (string, error) {
	if dir := os.Getenv("JUPYTER_DATA_DIR"); dir != "" {
		return dir, nil
	}
	if runtime.GOOS == "linux" {
		if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
			return filepath.Join(dir, "jupyter"), nil
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Jupyter"), nil
	}
	return filepath.Join(home, ".local", "share", "jupyter"), nil
}

// temporary tells whether a program lies where it will not stay.
func temporary(program string) bool {
	for _, dir := range []string{os.TempDir(), os.Getenv("GOTMPDIR"), os.Getenv("GOCACHE")} {
		if dir == "" {
			continue
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		at := program
		if real, err := filepath.EvalSymlinks(program); err == nil {
			at = real
		}
		if rel, err := filepath.Rel(dir, at); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return strings.Contains(program, string(filepath.Separator)+"go-build")
}

// copyProgram copies beside the old one first: a kernel that runs keeps its
// program.
func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		os.Remove(to + ".new")
		return err
	}
	return os.Rename(to+".new", to)
}
