package modbus_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/sim"
)

// faultyHost is a Modbus/TCP host with two rulers that spoils every fourth answer.
type faultyHost struct {
	net.Listener
	units map[byte]ruler
	spoil func(h *faultyHost, conn net.Conn, answer []byte)

	mu       sync.Mutex // protects what follows
	answers  int
	injected int
	spoiled  map[uint64]bool
	conns    sync.WaitGroup
}

func (h *faultyHost) serve() {
	for {
		conn, err := h.Accept()
		if err != nil {
			return
		}
		h.conns.Go(func() { h.talk(conn) })
	}
}

func (h *faultyHost) talk(conn net.Conn) {
	defer conn.Close()
	request := make([]byte, 12)
	for {
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		address := int(binary.BigEndian.Uint16(request[8:]))
		registers, _ := h.units[request[6]].ReadRegisters(sim.HoldingRegisters, address, 4)
		answer := append(bytes.Clone(request[:4]), 0, 11, request[6], request[7], 8)
		for _, r := range registers {
			answer = binary.BigEndian.AppendUint16(answer, r)
		}
		h.mu.Lock()
		h.answers++
		now := h.answers%4 == 3 && h.injected < 8
		if now {
			h.injected++
		}
		h.mu.Unlock()
		if now {
			h.spoil(h, conn, answer)
		} else if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func (h *faultyHost) late(conn net.Conn, answer []byte) {
	h.mu.Lock()
	h.spoiled[binary.BigEndian.Uint64(answer[9:])] = true
	h.mu.Unlock()
	<-time.After(faultTimeout + 20*time.Millisecond)
	_, _ = conn.Write(answer) // the connection may be gone
}

func send(conn net.Conn, b []byte) { _, _ = conn.Write(b) }

func TestTCP_NeverPublishesAWrongValue(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(h *faultyHost, conn net.Conn, answer []byte)
	}{
		{"silence", func(*faultyHost, net.Conn, []byte) {}},
		{"late", (*faultyHost).late},
		{"of another transaction", func(_ *faultyHost, c net.Conn, a []byte) { a[1] ^= 1; send(c, a) }},
		{"of another unit", func(_ *faultyHost, c net.Conn, a []byte) { a[6] ^= 3; send(c, a) }},
		{"too short", func(_ *faultyHost, c net.Conn, a []byte) { a[5], a[8] = 9, 6; send(c, a[:15]) }},
		{"split", func(_ *faultyHost, c net.Conn, a []byte) { send(c, a[:5]); send(c, a[5:]) }},
		{"twice", func(_ *faultyHost, c net.Conn, a []byte) { send(c, a); send(c, a) }},
		{"no Modbus", func(_ *faultyHost, c net.Conn, _ []byte) { send(c, []byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }},
		{"closed", func(_ *faultyHost, c net.Conn, _ []byte) { _ = c.Close() }},
		{"closed in the middle", func(_ *faultyHost, c net.Conn, a []byte) { send(c, a[:10]); _ = c.Close() }},
		{"exception", func(_ *faultyHost, c net.Conn, a []byte) { a[5], a[7], a[8] = 3, a[7]|0x80, 4; send(c, a[:9]) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			sequence := &counter{}
			h := &faultyHost{Listener: ln, units: map[byte]ruler{1: {1, sequence}, 2: {2, sequence}}, spoil: c.spoil, spoiled: map[uint64]bool{}}
			h.conns.Go(h.serve)
			t.Cleanup(func() { _ = ln.Close(); h.conns.Wait() })
			f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":%q}},"timeout":"%v","devices":[
				{"id":"unit-1","unit":1,"interval":"20ms","points":[{"id":"at-0","type":"uint64"},{"id":"at-100","address":100,"type":"uint64"}]},
				{"id":"unit-2","unit":2,"interval":"20ms","points":[{"id":"at-0","type":"uint64"},{"id":"at-100","address":100,"type":"uint64"}]}]}`, ln.Addr(), faultTimeout))
			f.Await(t, "all faults injected", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.injected == 8 })
			for _, topic := range rulerTopics() {
				before := len(f.Messages(topic.name))
				f.Await(t, "good values again", func() bool {
					list := f.readings(t, topic.name)
					return len(list) > before+2 && list[len(list)-1].Quality == "good"
				})
				for _, payload := range f.Payloads(topic.name) {
					var r struct{ Value json.Number }
					require.NoError(t, json.Unmarshal([]byte(payload), &r))
					if r.Value == "" {
						continue
					}
					n, err := strconv.ParseUint(r.Value.String(), 10, 64)
					require.NoError(t, err)
					require.Equal(t, topic.tag, n>>sequenceBits, "the value of another point")
					h.mu.Lock()
					require.False(t, h.spoiled[n], "a late value")
					h.mu.Unlock()
				}
			}
		})
	}
}

// A gateway whose units are all dead is no lost link, and its connection is tried anew.
func TestTCP_SilentUnitsAreNoLostLink(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	accepted := make(chan struct{}, 100)
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			conns.Go(func() { _, _ = io.Copy(io.Discard, conn); _ = conn.Close() })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); conns.Wait() })
	f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":%q}},"timeout":"20ms","devices":[{"id":"d","interval":"20ms","points":[{"id":"p"}]}]}`, ln.Addr()))
	for range 3 {
		<-accepted
	}
	f.AwaitRetained(t, "fieldgate/d/p", `"error":"timeout"`)
	f.AwaitRetained(t, "fieldgate/d/$state", `"state":"offline"`, "unit 1 gives no answer")
	for _, r := range f.readings(t, "fieldgate/d/p") {
		require.NotEqual(t, "link", r.Error)
	}
}
