package table

import (
	"fmt"
	"log"
	"strconv"
)

// ExitCode is what interpreted code panics with where compiled code would end
// the process.
type ExitCode int

func (c ExitCode) Error() string { return "os.Exit(" + strconv.Itoa(int(c)) + ")" }

func exit(code int) { panic(ExitCode(code)) }

func logFatal(v ...any) {
	log.Output(2, fmt.Sprint(v...))
	exit(1)
}

func logFatalf(format string, v ...any) {
	log.Output(2, fmt.Sprintf(format, v...))
	exit(1)
}

func logFatalln(v ...any) {
	log.Output(2, fmt.Sprintln(v...))
	exit(1)
}
