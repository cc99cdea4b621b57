// Command fieldgate is the gateway, and the command line that looks after it. It
// knows flags, signals and exit statuses; everything else is in the parts.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set by the linker.
var version = "0.1.0-dev"

// twins is how soon after the first signal another one counts as the same.
const twins = 2 * time.Second

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // under nohup it is
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	// A second signal ends the process at once, unless it is the first one's twin: a terminal's Ctrl-C and a
	// supervisor's SIGTERM often come together.
	context.AfterFunc(ctx, func() { time.AfterFunc(twins, stop) })
	status := execute(ctx, stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(status)
}
