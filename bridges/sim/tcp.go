package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// ServeTCP answers Modbus/TCP on the listener, as the devices with these unit
// identifiers, until ctx is done (nil) or the listener fails. It closes ln and waits
// for its connections. A unit that is not there answers exception 11, as a gateway does.
func ServeTCP(ctx context.Context, ln net.Listener, units map[byte]Device) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("serve Modbus/TCP: %w", err)
		}
		conns.Go(func() { serveConn(ctx, conn, units) })
	}
}

const gatewayTargetFailed Exception = 11

// serveConn ends at the first thing that is no Modbus/TCP, as most devices do.
func serveConn(ctx context.Context, conn net.Conn, units map[byte]Device) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	var header [7]byte
	for {
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint16(header[4:]))
		if header[2] != 0 || header[3] != 0 || length < 2 || length > 254 {
			return
		}
		pdu := make([]byte, length-1)
		if _, err := io.ReadFull(conn, pdu); err != nil {
			return
		}
		response := []byte{pdu[0] | 0x80, byte(gatewayTargetFailed)}
		if d, ok := units[header[6]]; ok {
			response = answer(d, pdu)
		}
		binary.BigEndian.PutUint16(header[4:], uint16(1+len(response)))
		if _, err := conn.Write(append(header[:], response...)); err != nil {
			return
		}
	}
}
