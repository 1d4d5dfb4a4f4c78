//go:build !linux

package bench

import (
	"context"
	"errors"
	"os"
	"time"
)

func untilPrompt(context.Context, string) (wall, cpu time.Duration, err error) {
	return 0, 0, errors.New("bench: the prompt is measured on Linux only")
}

func dropCache(*os.File) error { return errors.New("reading from the disk is measured on Linux only") }
