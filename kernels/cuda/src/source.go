// Package src holds the CUDA backend's kernels as text: CUDA C that needs no
// header of any toolkit, one family of operations a file.
//
// Each .cu file says at its top what one block computes, what memory traffic
// that is and why the result is always the same. prelude.cuh has the element
// types, vector loads that convert, reductions and the few instructions that
// CUDA C has no words for; where a kernel runs on the CPU
// (kernels/cuda/internal/emulate) those are functions in C.
//
// A kernel takes one structure, by value. Its fields are mirrored by a Go
// structure in package cuda, and a test compares the two. Arrays are given as
// address and element type, so one kernel serves every mixture of types: the
// type is the same throughout a launch, and a branch on it costs little beside
// the memory access it decides.
package src

import (
	"embed"
	"fmt"
	"path"
	"regexp"
	"strings"
)

//go:embed *.cu *.cuh
var files embed.FS

// Modules names the files of kernels, without ".cu", in order.
func Modules() []string {
	names, err := files.ReadDir(".")
	if err != nil {
		panic(err) // embedded
	}
	var out []string
	for _, n := range names {
		if path.Ext(n.Name()) == ".cu" {
			out = append(out, strings.TrimSuffix(n.Name(), ".cu"))
		}
	}
	return out
}

var (
	include = regexp.MustCompile(`(?m)^#include "(\w+\.cuh)"$`)
	entry   = regexp.MustCompile(`(?m)^KERNEL\(\w+\) (\w+)\(`)
	family  = regexp.MustCompile(`(?m)^(UNARY|BINARY|FLASH)\((\w+),`)
)

// Module is one file's text with what it includes put in place.
func Module(name string) (string, error) {
	seen := map[string]bool{}
	var expand func(file string) (string, error)
	expand = func(file string) (string, error) {
		if seen[file] {
			return "", nil
		}
		seen[file] = true
		text, err := files.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("no kernels named %s", file)
		}
		lines := strings.SplitAfter(string(text), "\n")
		for i, line := range lines {
			if m := include.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
				inner, err := expand(m[1])
				if err != nil {
					return "", err
				}
				lines[i] = fmt.Sprintf("%s#line %d \"%s\"\n", inner, i+2, file)
			}
		}
		return fmt.Sprintf("#line 1 \"%s\"\n%s", file, strings.Join(lines, "")), nil
	}
	return expand(name + ".cu")
}

// families are the kernels that one use of a macro makes.
var families = map[string][]string{
	"UNARY":  {"unary_%s", "unary_grad_%s"},
	"BINARY": {"binary_%s"},
	"FLASH":  {"flash_%s", "flash_grad_query_%s", "flash_grad_key_%s"},
}

// Kernels names a file's kernels, in the order of the text.
func Kernels(module string) ([]string, error) {
	text, err := files.ReadFile(module + ".cu")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range entry.FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	for _, m := range family.FindAllStringSubmatch(string(text), -1) {
		for _, form := range families[m[1]] {
			out = append(out, fmt.Sprintf(form, m[2]))
		}
	}
	return out, nil
}
