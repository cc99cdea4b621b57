package loadtest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// link is an MQTT connection, over 3.1.1 unless somebody asks for 5.0, of a client that costs little itself: all packets of one read are
// handled in place, and what they ask for goes out in one write.
type link struct {
	nc      net.Conn
	version mqtt.Version
	present bool // the broker knew the session

	onPublish func(topic, payload []byte, pid uint16) // payload is valid during the call
	onDone    func(pid uint16)                        // a message of ours is acknowledged for good
	onSafe    func(pid uint16)                        // the broker has promised it: PUBACK or PUBREC
	onRead    func()                                  // after all packets of a read
	mute      atomic.Bool                             // acknowledges nothing

	writing sync.Mutex
	subacks chan error
	closed  chan struct{} // when the reader has ended
}

const patience = 30 * time.Second

// maxInflight is how many messages a client of 5.0 takes at once: as many as the brokers send one of 3.1.1.
const maxInflight = 100

// dial connects a client; start must follow.
func dial(address, id string, clean bool) (*link, error) {
	return dialAs(mqtt.V311, address, id, clean)
}

func dialAs(v mqtt.Version, address, id string, clean bool) (*link, error) {
	nc, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	l, err := greetAs(v, nc, id, clean)
	if err != nil {
		_ = nc.Close()
	}
	return l, err
}

// greet sends CONNECT and reads CONNACK.
func greet(nc net.Conn, id string, clean bool) (*link, error) {
	return greetAs(mqtt.V311, nc, id, clean)
}

func greetAs(v mqtt.Version, nc net.Conn, id string, clean bool) (*link, error) {
	hello := packet.Connect{Version: v, ClientID: id, CleanStart: clean, KeepAlive: 600, ReceiveMaximum: maxInflight}
	if _, err := nc.Write(hello.Append(nil)); err != nil {
		return nil, err
	}
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	var answer [4]byte
	if _, err := io.ReadFull(nc, answer[:]); err != nil {
		return nil, fmt.Errorf("read CONNACK: %w", err)
	}
	if packet.TypeOf(answer[0]) != packet.CONNACK || answer[3] != 0 {
		return nil, fmt.Errorf("the broker refuses: % x", answer)
	}
	if rest := make([]byte, int(answer[1])-2); len(rest) > 0 { // properties of 5.0
		if _, err := io.ReadFull(nc, rest); err != nil {
			return nil, fmt.Errorf("read CONNACK: %w", err)
		}
	}
	_ = nc.SetReadDeadline(time.Time{})
	return &link{nc: nc, version: v, present: answer[2] == 1, subacks: make(chan error, 1), closed: make(chan struct{})}, nil
}

func (l *link) start() { go l.read() } // ends with the connection; close waits for it

func (l *link) write(b []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	_, err := l.nc.Write(b)
	return err
}

// close leaves without DISCONNECT.
func (l *link) close() {
	_ = l.nc.Close()
	<-l.closed
}

// leave says goodbye and waits until the broker has closed.
func (l *link) leave() {
	_ = l.write((&packet.Disconnect{}).Append(nil, mqtt.V311))
	select {
	case <-l.closed:
	case <-time.After(patience):
	}
	l.close()
}

func (l *link) subscribe(qos mqtt.QoS, filters ...string) error {
	s := packet.Subscribe{PacketID: 1}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, mqtt.Subscription{Filter: f, QoS: qos})
	}
	if err := l.write(s.Append(nil, l.version)); err != nil {
		return err
	}
	select {
	case err := <-l.subacks:
		return err
	case <-l.closed:
		return errors.New("closed while subscribing")
	case <-time.After(4 * patience):
		return errors.New("no SUBACK")
	}
}

// bufferSize is longer than any packet that is sent here.
const bufferSize = 64 << 10

func (l *link) read() {
	defer close(l.closed)
	buf, have := make([]byte, bufferSize), 0
	var acks []byte
	for {
		n, err := l.nc.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		used, err := l.handleAll(buf[:have], &acks)
		if err != nil {
			return
		}
		have = copy(buf, buf[used:have])
		if len(acks) > 0 {
			if l.write(acks) != nil {
				return
			}
			acks = acks[:0]
		}
		if l.onRead != nil {
			l.onRead()
		}
	}
}

func (l *link) handleAll(buf []byte, acks *[]byte) (used int, err error) {
	for {
		n, err := packet.Length(buf[used:], 0)
		if err != nil {
			return used, err
		}
		if n == 0 || used+n > len(buf) {
			return used, nil
		}
		l.handle(buf[used:used+n], acks)
		used += n
	}
}

func (l *link) handle(raw []byte, acks *[]byte) {
	kind := packet.TypeOf(raw[0])
	if kind == packet.PUBLISH {
		l.handlePublish(raw, acks)
		return
	}
	if len(raw) < 4 {
		return
	}
	pid := binary.BigEndian.Uint16(raw[2:])
	switch kind {
	case packet.PUBREL:
		*acks = packet.AppendAck(*acks, packet.PUBCOMP, pid)
	case packet.PUBREC:
		if l.onSafe != nil {
			l.onSafe(pid)
		}
		*acks = packet.AppendAck(*acks, packet.PUBREL, pid)
	case packet.PUBACK:
		if l.onSafe != nil {
			l.onSafe(pid)
		}
		l.onDone(pid)
	case packet.PUBCOMP:
		l.onDone(pid)
	case packet.SUBACK:
		var s packet.Suback
		err := s.Decode(raw, l.version)
		for _, reason := range s.Reasons {
			if reason.Failed() {
				err = fmt.Errorf("the subscription is refused: %v", reason)
			}
		}
		l.subacks <- err
	}
}

func (l *link) handlePublish(raw []byte, acks *[]byte) {
	at := 2 // behind the first byte and the remaining length
	for raw[at-1]&0x80 != 0 {
		at++
	}
	topic := raw[at+2 : at+2+int(binary.BigEndian.Uint16(raw[at:]))]
	at += 2 + len(topic)
	pid, qos := uint16(0), mqtt.QoS(raw[0]>>1&3)
	if qos > 0 {
		pid = binary.BigEndian.Uint16(raw[at:])
		at += 2
		if !l.mute.Load() {
			*acks = packet.AppendAck(*acks, packet.PUBACK+packet.Type(qos-1), pid)
		}
	}
	if l.version >= mqtt.V5 {
		at += 1 + int(raw[at]) // the properties: a few bytes at most
	}
	if l.onPublish != nil {
		l.onPublish(topic, raw[at:], pid)
	}
}
