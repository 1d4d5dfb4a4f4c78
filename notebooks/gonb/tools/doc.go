// Package tools pins what a GoNB notebook needs besides this module: the kernel,
// and goimports, which it calls. It is a module of its own, so that nothing here
// is built into dpolab:
//
//	cd notebooks/gonb/tools
//	GOBIN=$HOME/go/bin go install tool
package tools
