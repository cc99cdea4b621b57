package loadtest_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

// points is what the points of a bridge add to the process, their values, retained messages and histories included: first
// what they hold, seen in a process whose garbage collector leaves hardly any room, then what the process takes as it is.
func points(t testing.TB, _ *server) []sample {
	held, _, fault := growth(t, "GOGC=5")
	usual, busy, _ := growth(t)
	return []sample{
		{float64(held) / 1e6, fault},
		{float64(usual) / 1e6, fault},
		{busy, fault},
	}
}

// growth starts a gateway and gives by how many bytes its memory grows with the points, and what part of a core they take in percent.
func growth(t testing.TB, env ...string) (private int64, busy float64, fault string) {
	s := launch(t, fieldgate, func(s *server) { s.env = env })
	slave, settings := newRegisters(t), filepath.Join(s.dir, "settings.yaml")
	defer s.stop()
	require.NoError(t, os.WriteFile(settings, []byte(manyPointsYAML(slave.address)), 0o600))
	time.Sleep(settle)
	base := s.look()
	out, err := exec.Command(s.kind.program(), "config", "apply", "--config", s.config(), settings).CombinedOutput()
	require.NoError(t, err, "%s", out)
	time.Sleep(settle)
	began, reads := s.look(), slave.reads.Load()
	time.Sleep(2 * settle)
	full := s.look()
	if reads, usual := slave.reads.Load()-reads, int64(manyUnits*2*settle/pollEvery); reads < usual*9/10 {
		fault = fmt.Sprintf("%d of %d polls", reads, usual)
	}
	return full.private - base.private, 100 * (full.cpu - began.cpu).Seconds() / full.at.Sub(began.at).Seconds(), fault
}
