package broker_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/internal/fault"
)

// TestBadPackets_CloseTheirConnectionAlone sends bytes that no client may send.
// The connection closes with one log line that names client and clause, and a
// second client doesn't notice.
func TestBadPackets_CloseTheirConnectionAlone(t *testing.T) {
	for _, c := range []struct{ name, raw, clause string }{
		{"PUBLISH with QoS 3", "36 05 0001 61 0001", "MQTT-3.3.1-4"},
		{"PUBLISH with DUP at QoS 0", "38 03 0001 61", "MQTT-3.3.1-2"},
		{"PUBLISH with packet identifier 0", "32 05 0001 61 0000", "MQTT-2.3.1-1"},
		{"PUBLISH with a wildcard", "30 03 0001 23", "MQTT-3.3.2-2"},
		{"PUBLISH without a topic", "30 02 0000", "MQTT-4.7.3-1"},
		{"PUBLISH with U+0000", "30 03 0001 00", "MQTT-1.5.3-2"},
		{"PUBLISH with a torn topic", "30 03 0009 61", "MQTT-4.8.0-1"},
		{"PUBLISH with a topic that is not UTF-8", "30 04 0002 c328", "MQTT-1.5.3-1"},
		{"PUBLISH with a surrogate", "30 05 0003 eda080", "MQTT-1.5.3-1"},
		{"PUBACK with flags", "41 02 0001", "MQTT-2.2.2-2"},
		{"PUBACK with packet identifier 0", "40 02 0000", "MQTT-2.3.1-1"},
		{"PUBACK too long", "40 03 0001 00", "MQTT-4.8.0-1"},
		{"PUBREL without its flags", "60 02 0001", "MQTT-2.2.2-2"},
		{"SUBSCRIBE without its flags", "80 06 0001 0001 61 00", "MQTT-2.2.2-2"},
		{"SUBSCRIBE without filters", "82 02 0001", "MQTT-3.8.3-3"},
		{"SUBSCRIBE with QoS 3", "82 06 0001 0001 61 03", "MQTT-3.8.3-4"},
		{"SUBSCRIBE with a bad filter", "82 08 0001 0003 612b62 00", "MQTT-4.7.1-3"},
		{"SUBSCRIBE with # in the middle", "82 08 0001 0003 232f61 00", "MQTT-4.7.1-2"},
		{"SUBSCRIBE torn", "82 05 0001 0001 61", "MQTT-4.8.0-1"},
		{"UNSUBSCRIBE without filters", "a2 02 0001", "MQTT-3.10.3-2"},
		{"PINGREQ with a body", "c0 01 00", "MQTT-4.8.0-1"},
		{"DISCONNECT with flags", "e1 00", "MQTT-2.2.2-2"},
		{"CONNACK from a client", "20 02 0000", "MQTT-4.8.0-1"},
		{"SUBACK from a client", "90 03 0001 00", "MQTT-4.8.0-1"},
		{"PINGRESP from a client", "d0 00", "MQTT-4.8.0-1"},
		{"AUTH", "f0 00", "MQTT-4.8.0-1"},
		{"type 0", "00 00", "MQTT-4.8.0-1"},
		{"a second CONNECT", "10 0d 0004 4d515454 04 02 0000 0001 61", "MQTT-3.1.0-2"},
		{"a remaining length of five bytes", "30 ff ff ff ff 01", "1.5.5"},
		{"larger than max_packet_size", "30 80 80 80 01", "MQTT-3.2.2-15"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sendBad(t, c.raw, c.clause) })
		})
	}
}

func sendBad(t *testing.T, digits, clause string) {
	var log lockedBuffer
	spool := sessiontest.NewMemory()
	defer spool.Close()
	cfg := broker.DefaultConfig()
	cfg.Listeners, cfg.AllowAnonymous = nil, true
	b, err := broker.New(cfg, spool, nil, &fault.Alarms{}, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = b.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ran
	}()
	bad, good := dialPipe(b, "bad"), dialPipe(b, "good")
	defer bad.Close()
	defer good.Close()
	raw, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	require.NoError(t, err)
	_, _ = bad.Write(raw) // it may be closed before the end
	rest, err := io.ReadAll(bad)
	require.NoError(t, err)
	require.Empty(t, rest, "a 3.x client is told nothing")
	synctest.Wait()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 1, "one log line")
	require.Contains(t, lines[0], "client_id=bad")
	require.Contains(t, lines[0], "remote=pipe")
	require.Regexp(t, `clause="v[^"]* `+regexp.QuoteMeta(clause)+`"`, lines[0])
	_, err = good.Write(packet.AppendPingreq(nil))
	require.NoError(t, err)
	answer := make([]byte, 2)
	_, err = io.ReadFull(good, answer)
	require.NoError(t, err)
}

// dialPipe connects a client without a listener.
func dialPipe(b *broker.Broker, id string) net.Conn {
	here, there := net.Pipe()
	b.ServeConn(there)
	connect := packet.Connect{Version: mqtt.V311, ClientID: id, CleanStart: true}
	_, _ = here.Write(connect.Append(nil)) // the read below fails too
	_, _ = io.ReadFull(here, make([]byte, 4))
	return here
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestEndlessPacket_EndsWithTheConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := start(t, spool, nil)
		here, there := net.Pipe()
		b.ServeConn(there)
		begin := time.Now()
		var err error
		_, err = here.Write([]byte{0x10, 0xff, 0xff, 0x3f}) // a CONNECT of a megabyte
		for err == nil {
			_, err = here.Write(make([]byte, 100))
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, time.Since(begin), 11*time.Second)
	})
}

// TestBadPacketsOf5_AreToldWhy sends bytes that no client of 5.0 may send.
func TestBadPacketsOf5_AreToldWhy(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		reason    mqtt.ReasonCode
	}{
		{"PUBLISH with QoS 3", "36 06 0001 61 0001 00", mqtt.MalformedPacket},
		{"PUBLISH with packet identifier 0", "32 06 0001 61 0000 00", mqtt.ProtocolError},
		{"PUBLISH with a wildcard", "30 04 0001 23 00", mqtt.ProtocolError},
		{"PUBLISH without topic and alias", "30 03 0000 00", mqtt.ProtocolError},
		{"PUBLISH with alias 0", "30 07 0001 61 03 23 0000", mqtt.TopicAliasInvalid},
		{"PUBLISH with a property twice", "30 08 0001 61 04 0100 0100", mqtt.ProtocolError},
		{"PUBLISH with a property of CONNECT", "30 07 0001 61 03 210001", mqtt.MalformedPacket},
		{"PUBLISH with an unknown property", "30 06 0001 61 02 7f00", mqtt.MalformedPacket},
		{"PUBLISH with a bad payload format", "30 06 0001 61 02 0102", mqtt.ProtocolError},
		{"PUBLISH with a wildcard in its response topic", "30 08 0001 61 04 08000123", mqtt.ProtocolError},
		{"PUBACK with an unknown reason", "40 03 0001 05", mqtt.ProtocolError},
		{"PUBREL without its flags", "60 02 0001", mqtt.MalformedPacket},
		{"SUBSCRIBE without filters", "82 03 0001 00", mqtt.ProtocolError},
		{"SUBSCRIBE with reserved options", "82 07 0001 00 0001 61 c0", mqtt.MalformedPacket},
		{"SUBSCRIBE with retain handling 3", "82 07 0001 00 0001 61 30", mqtt.ProtocolError},
		{"SUBSCRIBE with identifier 0", "82 09 0001 02 0b00 0001 61 00", mqtt.ProtocolError},
		{"SUBSCRIBE with a bad filter", "82 09 0001 00 0003 612b62 00", mqtt.MalformedPacket},
		{"UNSUBSCRIBE without filters", "a2 03 0001 00", mqtt.ProtocolError},
		{"DISCONNECT with an unknown reason", "e0 01 01", mqtt.ProtocolError},
		{"CONNACK from a client", "20 03 0000 00", mqtt.ProtocolError},
		{"AUTH", "f0 00", mqtt.ProtocolError},
		{"type 0", "00 00", mqtt.ProtocolError},
		{"a remaining length of five bytes", "30 ff ff ff ff 01", mqtt.MalformedPacket},
		{"a remaining length that is longer than needed", "40 82 00 0001", mqtt.MalformedPacket},
		{"larger than max_packet_size", "30 80 80 80 01", mqtt.PacketTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spool := sessiontest.NewMemory()
				t.Cleanup(spool.Close)
				b := start(t, spool, nil)
				here, there := net.Pipe()
				defer here.Close()
				b.ServeConn(there)
				raw, err := hex.DecodeString(strings.ReplaceAll(c.raw, " ", ""))
				require.NoError(t, err)
				connect := packet.Connect{Version: mqtt.V5, ClientID: "bad"}
				go func() { _, _ = here.Write(append(connect.Append(nil), raw...)) }() // it may be closed before the end
				require.NoError(t, here.SetDeadline(time.Now().Add(time.Minute)))
				got, err := io.ReadAll(here)
				require.NoError(t, err)
				n, err := packet.Length(got, 0)
				require.NoError(t, err)
				var d packet.Disconnect
				require.NoError(t, d.Decode(got[n:], mqtt.V5))
				require.Equal(t, c.reason, d.Reason, d.ReasonString)
				require.NotEmpty(t, d.ReasonString)
			})
		})
	}
}
