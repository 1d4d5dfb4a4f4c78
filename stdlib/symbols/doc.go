// Package symbols holds all that the interpreter needs to know of the packages
// that cells and scripts can import: the standard library, the parts of gonum
// that experiments use, and our own packages. Nothing here needs a Go
// toolchain when it runs.
//
// For each package there are
//
//   - a table of its functions, constants, variables and types as reflect
//     values, with wrappers through which interpreted types implement its
//     interfaces: [Load], [Base], [All];
//   - export data, against which go/types checks a cell: [Importer];
//   - documentation: [Doc].
//
// Reflection cannot hold generic functions and types. For slices, maps, cmp,
// iter and a few others there is Go source of our own, written to be
// instantiated by the front end: [Source]. The rest is named by [Missing], so
// that a use can be refused in clear words.
//
// Tables and export data are static data: a process that imports nothing
// builds no map and decodes nothing.
//
// The smallest use:
//
//	i := interp.New(interp.Options{Stdout: os.Stdout})
//	i.Use(symbols.Base())
//	i.Use(interp.Exports{"strings/strings": symbols.Load("strings")})
//	i.ImportUsed()
//	i.Eval(`fmt.Println(strings.ToUpper("dpo"))`)
//
// # How to add a package
//
// Add its path to a list in internal/generate/list.go and run `make generate`.
// Everything in internal/table/z_*.go, export.zip and doc.zip is written by
// that; the same packages give the same bytes. A test fails when a covered
// package has gained or lost a name since.
//
// To give generic functions of a package a source, write them in
// source/<import path>, with the signatures of the originals (a test compares
// them), and run `make generate`.
//
// The tables are of Linux: of package syscall they hold what is the same on all
// its architectures, and on another system they have to be made anew.
//
// # Exits
//
// os.Exit, syscall.Exit and log.Fatal in interpreted code panic with
// [ExitCode] instead of ending the process. Methods of a *log.Logger made with
// log.New are the real ones.
package symbols

//go:generate go run ./internal/generate
