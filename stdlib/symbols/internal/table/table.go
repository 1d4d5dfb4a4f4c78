// Package table holds the generated tables of what interpreted code can
// import: one file z_….go per package, written by go generate in
// dpolab/stdlib/symbols. Everything in it is static data, so that a process
// that imports nothing pays nothing: no map is built and no code runs before
// somebody asks for a package.
package table

import "sort"

// Package lists what one importable package exports, in the form in which
// reflection can reach it.
type Package struct {
	Path, Name string
	// Values holds functions and constants; a constant without a type is a
	// Literal, which keeps it exact.
	Values []Entry
	// Vars holds pointers to variables.
	Vars []Entry
	// Types holds a nil pointer to each type.
	Types []Entry
	// Wrappers holds, for each interface that interpreted types can
	// implement, a nil pointer to a struct that implements it by calling its
	// fields.
	Wrappers []Entry
	// Missing names what is exported and stands in no list above: generic
	// functions and types without source of ours, and constraints.
	Missing []string
}

// Entry is one name and the value that stands for it.
type Entry struct {
	Name  string
	Value any
}

// Kind tells how the text of a Literal is read.
type Kind byte

// The kinds of untyped constants.
const (
	Int Kind = iota
	Float
	String
	Bool
)

// Literal is an untyped constant, exactly.
type Literal struct {
	Kind Kind
	Text string
}

// Lookup returns the table of an import path, or nil.
func Lookup(path string) *Package {
	i := sort.Search(len(Packages), func(i int) bool { return Packages[i].Path >= path })
	if i < len(Packages) && Packages[i].Path == path {
		return Packages[i]
	}
	return nil
}
