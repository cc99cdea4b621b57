package loadtest_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// registers is a slave for function code 3 over Modbus/TCP; the register at an address holds the address.
type registers struct {
	address string
	reads   atomic.Int64
}

// newRegisters serves until the test's end, and until those who ask are gone.
func newRegisters(t testing.TB) *registers {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &registers{address: ln.Addr().String()}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { r.serve(nc) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		conns.Wait()
	})
	return r
}

func (r *registers) serve(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	request := make([]byte, 12)
	for {
		if _, err := io.ReadFull(nc, request); err != nil {
			return
		}
		first, quantity := binary.BigEndian.Uint16(request[8:]), binary.BigEndian.Uint16(request[10:])
		answer := append([]byte(nil), request[:8]...)
		binary.BigEndian.PutUint16(answer[4:], 3+2*quantity)
		answer = append(answer, byte(2*quantity))
		for i := range quantity {
			answer = binary.BigEndian.AppendUint16(answer, first+i)
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
		r.reads.Add(1)
	}
}

// What the points of a large plant are here.
const (
	manyUnits  = 50
	unitPoints = 100
	manyPoints = manyUnits * unitPoints
	pollEvery  = 2 * time.Second
)

// manyPointsYAML is the settings of a Modbus/TCP bridge with manyPoints points.
func manyPointsYAML(address string) string {
	var y strings.Builder
	fmt.Fprintf(&y, "bridges:\n  - id: plant\n    kind: modbus\n    link: {tcp: {address: \"%s\"}}\n    devices:\n", address)
	for unit := 1; unit <= manyUnits; unit++ {
		fmt.Fprintf(&y, "      - id: unit-%d\n        unit: %d\n        interval: %v\n        points:\n", unit, unit, pollEvery)
		for p := range unitPoints {
			fmt.Fprintf(&y, "          - {id: value-%d, address: %d, type: uint16, unit: kWh}\n", p, p)
		}
	}
	return y.String()
}

// points is what the points of a bridge add, their values, retained messages and histories included: what is
// held, in a process whose garbage collector leaves hardly any room, then by what the process as it is grows.
func points(t testing.TB, _ *server) []sample {
	tight, usual := growth(t, "GOGC=2"), growth(t)
	return []sample{
		{tight.heap / 1e6, tight.fault},
		{usual.private / 1e6, usual.fault},
		{usual.busy, usual.fault},
	}
}

// grown is by what a process grew, in bytes, and what part of a core it takes, in percent.
type grown struct {
	heap, private, busy float64
	fault               string
}

// growth starts a gateway and gives it the points.
func growth(t testing.TB, env ...string) (g grown) {
	s := launch(t, fieldgate, func(s *server) { s.env = env })
	slave, settings := newRegisters(t), filepath.Join(s.dir, "settings.yaml")
	defer s.stop()
	require.NoError(t, os.WriteFile(settings, []byte(manyPointsYAML(slave.address)), 0o600))
	time.Sleep(settle)
	base, heap := s.look(), s.metric("go_memstats_heap_alloc_bytes")
	out, err := exec.Command(s.kind.program(), "config", "apply", "--config", s.config(), settings).CombinedOutput()
	require.NoError(t, err, "%s", out)
	time.Sleep(settle)
	began, reads := s.look(), slave.reads.Load()
	time.Sleep(2 * settle)
	full := s.look()
	if reads, usual := slave.reads.Load()-reads, int64(manyUnits*2*settle/pollEvery); reads < usual*9/10 {
		g.fault = fmt.Sprintf("%d of %d polls", reads, usual)
	}
	g.heap, g.private = s.metric("go_memstats_heap_alloc_bytes")-heap, float64(full.private-base.private)
	g.busy = 100 * (full.cpu - began.cpu).Seconds() / full.at.Sub(began.at).Seconds()
	return g
}

// metric gives a number of ours by its name, through the socket of the command line.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.dir, "data", "admin.sock"))
	}}}
	response, err := client.Get("http://localhost/metrics")
	require.NoError(s.t, err)
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), name+" "); found {
			value, err := strconv.ParseFloat(text, 64)
			require.NoError(s.t, err)
			return value
		}
	}
	require.FailNow(s.t, "no such metric", "%s, %s", name, response.Status)
	return 0
}
