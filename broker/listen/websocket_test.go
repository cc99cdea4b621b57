package listen_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"fieldgate/broker/listen"
)

// openWebSocket listens without serving.
func openWebSocket(t testing.TB, c listen.Config) net.Listener {
	c.Address, c.Transport = "127.0.0.1:0", "websocket"
	ln, err := tryOpen(t, c)
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return ln
}

// request sends one HTTP request and gives the answer with its body.
func request(t testing.TB, ln net.Listener, lines ...string) (*http.Response, string) {
	nc, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(nc, strings.Join(lines, "\r\n")+"\r\n\r\n")
	require.NoError(t, err)
	r, err := http.ReadResponse(bufio.NewReader(nc), nil)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusSwitchingProtocols {
		require.NoError(t, err)
	}
	return r, string(body)
}

// TestWebSocket_AnswersRequestsInWords
//
// shows v3.1.1 MQTT-6.0.0-4, v5 MQTT-6.0.0-4
func TestWebSocket_AnswersRequestsInWords(t *testing.T) {
	ln := openWebSocket(t, listen.Config{Path: "/ws", Origins: []string{"panel.example.com", "https://*.example.org"}})
	ask := func(path string, headers ...string) []string {
		return append([]string{"GET " + path + " HTTP/1.1", "Host: gw:8083"}, headers...)
	}
	upgrade := func(headers ...string) []string {
		return ask("/ws", append([]string{"Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, headers...)...)
	}
	for _, c := range []struct {
		name     string
		request  []string
		status   int
		words    string
		protocol string
	}{
		{"a page", ask("/ws"), 426, "no web page", ""},
		{"a post", []string{"POST /ws HTTP/1.1", "Host: gw", "Content-Length: 0"}, 426, "no web page", ""},
		{"another path", ask("/"), 404, "MQTT over WebSocket is at /ws", ""},
		{"a path below", ask("/ws/x"), 404, "nothing here", ""},
		{"no subprotocol", upgrade(), 400, "mqtt, mqttv3.1", ""},
		{"a foreign subprotocol", upgrade("Sec-WebSocket-Protocol: chat, amqp"), 400, "mqtt, mqttv3.1", ""},
		{"mqtt", upgrade("Sec-WebSocket-Protocol: mqtt"), 101, "", "mqtt"},
		{"the old name", upgrade("Sec-WebSocket-Protocol: mqttv3.1"), 101, "", "mqttv3.1"},
		{"out of a list", upgrade("Sec-WebSocket-Protocol: chat, mqttv3.1,  mqtt"), 101, "", "mqtt"},
		{"out of two lines", upgrade("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: mqttv3.1"), 101, "", "mqttv3.1"},
		{"another version", ask("/ws", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Protocol: mqtt"), 400, "version", ""},
		{"the same host", upgrade("Sec-WebSocket-Protocol: mqtt", "Origin: https://GW:8080"), 101, "", "mqtt"},
		{"another host", upgrade("Sec-WebSocket-Protocol: mqtt", "Origin: https://evil.example"), 403, "pages of", ""},
		{"no host", upgrade("Sec-WebSocket-Protocol: mqtt", "Origin: null"), 403, "pages of", ""},
		{"a configured host", upgrade("Sec-WebSocket-Protocol: mqtt", "Origin: http://panel.example.com"), 101, "", "mqtt"},
		{"a configured pattern", upgrade("Sec-WebSocket-Protocol: mqtt", "Origin: https://a.example.org"), 101, "", "mqtt"},
		{"another scheme", upgrade("Sec-WebSocket-Protocol: mqtt", "Origin: http://a.example.org"), 403, "pages of", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			accepted := make(chan struct{})
			if c.status == http.StatusSwitchingProtocols {
				go func() {
					defer close(accepted)
					if nc, err := ln.Accept(); err == nil {
						nc.Close()
					}
				}()
			} else {
				close(accepted)
			}
			r, body := request(t, ln, c.request...)
			require.Equal(t, c.status, r.StatusCode, body)
			require.Contains(t, body, c.words)
			require.Equal(t, c.protocol, r.Header.Get("Sec-WebSocket-Protocol"))
			<-accepted
		})
	}
}

func TestWebSocket_EndsAnEndlessHeader(t *testing.T) {
	ln := openWebSocket(t, listen.Config{})
	nc, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(nc, "GET /mqtt HTTP/1.1\r\nX: ")
	for err == nil {
		_, err = nc.Write(bytes.Repeat([]byte("x"), 1000))
	}
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestWebSocket_CloseEndsAccept(t *testing.T) {
	ln := openWebSocket(t, listen.Config{})
	ended := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		ended <- err
	}()
	require.NoError(t, ln.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
	_, err := net.Dial("tcp", ln.Addr().String())
	require.Error(t, err)
}

const handshakeRequest = "GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

// wsPair gives both ends of one WebSocket: the server's as listen gives it, the
// client's as bytes right after the handshake. early is sent without waiting for it.
func wsPair(t testing.TB, ln net.Listener, early ...byte) (server, client net.Conn, in *bufio.Reader) {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, _ := ln.Accept()
		accepted <- nc
	}()
	client, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	require.NoError(t, client.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = client.Write(append([]byte(handshakeRequest), early...))
	require.NoError(t, err)
	in = bufio.NewReader(client)
	r, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, r.StatusCode)
	server = <-accepted
	require.NotNil(t, server)
	require.NoError(t, server.SetDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() {
		server.Close()
		client.Close()
	})
	return server, client, in
}

func TestWebSocket_ReadsWhatCameWithTheRequest(t *testing.T) {
	want := bytes.Repeat([]byte("early "), 500)
	server, _, _ := wsPair(t, openWebSocket(t, listen.Config{}), frame(fin|opBinary, want)...)
	got := make([]byte, len(want))
	_, err := io.ReadFull(server, got)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// Opcodes of [RFC 6455 section 5.2], and the bit of a message's last frame.
const (
	opContinuation, opText, opBinary, opClose, opPing, opPong = 0, 1, 2, 8, 9, 10
	fin                                                       = 0x80
)

// frame is one masked frame of a client.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x5a, 0xc3, 0x0f, 0x99}
	b = append(b, mask[:]...)
	for i, x := range payload {
		b = append(b, x^mask[i%4])
	}
	return b
}

// readFrame reads one frame of the server, which are not masked.
func readFrame(in *bufio.Reader) (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	if head[1] >= 126 {
		size := 2 + 6*int(head[1]-126)
		var long [8]byte
		if _, err := io.ReadFull(in, long[8-size:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(long[:])
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(in, payload)
	return head[0], payload, err
}

// TestWebSocket_ClosesWhatIsNoBinaryMessage
//
// shows v3.1.1 MQTT-6.0.0-1, v5 MQTT-6.0.0-1
func TestWebSocket_ClosesWhatIsNoBinaryMessage(t *testing.T) {
	ln := openWebSocket(t, listen.Config{})
	for _, c := range []struct {
		name   string
		sent   []byte
		status uint16 // of the close frame; 0 for any end
		err    error
	}{
		{"text", frame(fin|opText, []byte("hello")), 1003, nil},
		{"an unmasked frame", []byte{fin | opBinary, 2, 0xc0, 0}, 0, nil},
		{"a continuation of nothing", frame(fin|opContinuation, []byte("x")), 1002, nil},
		{"an unknown opcode", frame(fin|3, nil), 1002, nil},
		{"a long ping", frame(fin|opPing, make([]byte, 126)), 1002, nil},
		{"a new message before the end of the last", append(frame(opBinary, nil), frame(opBinary, nil)...), 1002, nil},
		{"a close frame", frame(fin|opClose, []byte{0x03, 0xe8}), 1000, io.EOF},
		{"a close frame inside a message", append(frame(opBinary, nil), frame(fin|opClose, []byte{0x03, 0xe9})...), 1001, io.EOF},
		{"a close frame without status", frame(fin|opClose, nil), 0, io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, client, in := wsPair(t, ln)
			_, err := client.Write(c.sent)
			require.NoError(t, err)
			_, err = server.Read(make([]byte, 10))
			require.Error(t, err)
			if c.err != nil {
				require.Equal(t, c.err, err)
			}
			server.Close()
			first, payload, err := readFrame(in)
			if c.status == 0 {
				return
			}
			require.NoError(t, err)
			require.EqualValues(t, fin|opClose, first)
			require.Equal(t, c.status, binary.BigEndian.Uint16(payload))
		})
	}
}

func TestWebSocket_GivesNothingOfAFrameThatWasCut(t *testing.T) {
	server, client, _ := wsPair(t, openWebSocket(t, listen.Config{}))
	whole := frame(fin|opBinary, []byte("0123456789"))
	_, err := client.Write(whole[:len(whole)-3])
	require.NoError(t, err)
	require.NoError(t, client.Close())
	n, err := server.Read(make([]byte, 100))
	require.Error(t, err)
	require.Zero(t, n)
}

func TestWebSocket_CloseSaysGoodbyeAndEndsReadAndWrite(t *testing.T) {
	server, _, in := wsPair(t, openWebSocket(t, listen.Config{}))
	reading := make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, 1))
		reading <- err
	}()
	require.NoError(t, server.Close())
	require.Error(t, <-reading)
	_, err := server.Write([]byte("x"))
	require.Error(t, err)
	first, payload, err := readFrame(in)
	require.NoError(t, err)
	require.EqualValues(t, fin|opClose, first)
	require.Equal(t, []byte{0x03, 0xe8}, payload)
}

func TestWebSocket_CloseDoesNotWaitForAFullSocket(t *testing.T) {
	server, _, _ := wsPair(t, openWebSocket(t, listen.Config{}))
	writing := make(chan error, 1)
	go func() {
		for {
			if _, err := server.Write(make([]byte, 1<<20)); err != nil {
				writing <- err
				return
			}
		}
	}()
	require.NoError(t, server.SetWriteDeadline(time.Time{}))
	require.NoError(t, server.Close())
	require.Error(t, <-writing)
}

func TestWebSocket_SendsShortMessages(t *testing.T) {
	ln := openWebSocket(t, listen.Config{})
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, _ := ln.Accept()
		accepted <- nc
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, _, err := websocket.Dial(ctx, "ws://"+ln.Addr().String()+"/mqtt", &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	require.NoError(t, err)
	defer client.CloseNow()
	server := <-accepted
	want := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	sent := make(chan error, 1)
	go func() {
		_, err := server.Write(want)
		sent <- errors.Join(err, server.Close())
	}()
	var got []byte
	for { // with the client's own limit of 32 KiB for a message
		kind, b, err := client.Read(ctx)
		if err != nil {
			require.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(err))
			break
		}
		require.Equal(t, websocket.MessageBinary, kind)
		got = append(got, b...)
	}
	require.NoError(t, <-sent)
	require.True(t, bytes.Equal(want, got))
}

func dialSecureWebSocket(t testing.TB, ln net.Listener, config *tls.Config) *websocket.Conn {
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, _, err := websocket.Dial(ctx, "wss://"+ln.Addr().String()+"/mqtt", &websocket.DialOptions{
		Subprotocols: []string{"mqtt"}, HTTPClient: &http.Client{Transport: transport},
	})
	require.NoError(t, err)
	return client
}

// FuzzWebSocket splits bytes into messages, frames and reads as script says, with
// pings in between: they arrive unchanged, and come back unchanged.
func FuzzWebSocket(f *testing.F) {
	f.Add([]byte("hello"), []byte{1, 2, 3})
	f.Add(bytes.Repeat([]byte{0xc0, 0}, 300), []byte{0, 0x80, 0x41, 250, 0xff})
	f.Add([]byte{}, []byte{0x80})
	f.Add(bytes.Repeat([]byte("x"), 70_000), []byte{0xff, 7})
	ln := openWebSocket(f, listen.Config{})
	f.Fuzz(func(t *testing.T, data, script []byte) {
		server, client, in := wsPair(t, ln)
		sent, pings := split(data, script)
		done := make(chan error, 2)
		go func() {
			_, err := client.Write(sent)
			done <- err
		}()
		go func() { done <- echoBytes(server, len(data), script) }()
		var got []byte
		for len(got) < len(data) || pings > 0 {
			first, payload, err := readFrame(in)
			require.NoError(t, err)
			switch first {
			case fin | opPong:
				require.Equal(t, "ping", string(payload))
				pings--
			case fin | opBinary, fin | opContinuation, opBinary, opContinuation:
				got = append(got, payload...)
			default:
				require.Fail(t, "a frame that was not expected", "%#x", first)
			}
		}
		require.True(t, bytes.Equal(data, got))
		require.NoError(t, <-done)
		require.NoError(t, client.Close()) // lets echoBytes end, which waits for a last ping
		require.NoError(t, <-done)
	})
}

// FuzzWebSocketFrames sends anything instead of frames: the WebSocket ends, and has
// given no more bytes than came.
func FuzzWebSocketFrames(f *testing.F) {
	f.Add(frame(fin|opBinary, []byte("hello")))
	f.Add(append(frame(opBinary, []byte("a")), frame(fin|opPing, []byte("b"))...))
	f.Add(frame(fin|opClose, []byte{0x03, 0xe8}))
	f.Add([]byte{fin | opBinary, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5})
	f.Add([]byte{fin | opBinary, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5})
	ln := openWebSocket(f, listen.Config{})
	f.Fuzz(func(t *testing.T, sent []byte) {
		server, client, _ := wsPair(t, ln)
		_, err := client.Write(sent)
		require.NoError(t, err)
		require.NoError(t, client.(*net.TCPConn).CloseWrite())
		buf := make([]byte, 100)
		for got := 0; ; {
			n, err := server.Read(buf)
			got += n
			require.LessOrEqual(t, got, len(sent))
			if err != nil {
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
				return
			}
		}
	})
}

// split makes frames of data. Each byte of script is a frame: its length times 1
// or 1000, whether it ends the message, whether a ping comes before it.
func split(data, script []byte) (sent []byte, pings int) {
	op := byte(opBinary)
	for _, s := range script {
		n := int(s & 0x1f)
		if s&0x20 != 0 {
			n *= 1000
		}
		n = min(n, len(data))
		if s&0x40 != 0 {
			sent = append(sent, frame(fin|opPing, []byte("ping"))...)
			pings++
		}
		last := s & 0x80
		sent = append(sent, frame(last|op, data[:n])...)
		op = opContinuation
		if last != 0 {
			op = opBinary
		}
		data = data[n:]
	}
	return append(sent, frame(fin|op, data)...), pings
}

// echoBytes writes back n bytes, read in lengths of the script, and reads on to the end.
func echoBytes(nc net.Conn, n int, script []byte) error {
	buf := make([]byte, 1<<16)
	for i := 0; n > 0; i++ {
		size := len(buf)
		if len(script) > 0 {
			size = 1 + 37*int(script[i%len(script)])
		}
		got, err := nc.Read(buf[:size])
		if err != nil {
			return err
		}
		if _, err := nc.Write(buf[:got]); err != nil {
			return err
		}
		n -= got
	}
	for {
		if _, err := nc.Read(buf); err != nil {
			return nil // the client closed
		}
	}
}
