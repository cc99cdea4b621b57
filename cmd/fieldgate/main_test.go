package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"fieldgate/internal/leak"
)

// asFieldgate makes the test binary the product: system tests start it as a
// child, so that what runs is what was just compiled, race detector included.
const asFieldgate = "FIELDGATE_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asFieldgate) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		status := execute(ctx, stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Args[1:])
		stop()
		os.Exit(status)
	}
	leak.Main(m)
}
