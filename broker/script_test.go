package broker_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session/sessiontest"
)

// A script in testdata/*.mqtt is a conversation, a step a line:
//
//	# what it is about, then the clauses that it shows
//	# shows v3.1.1 MQTT-3.1.2-24
//	config {"max_inflight": 2}                          before the first step
//	a> CONNECT client_id=x clean_session=0              client a sends; the first packet opens its connection
//	a< CONNACK session_present=1                        client a gets exactly this; what is not said has its default
//	a< PUBLISH topic=t qos=1 pid=$p payload="a b"       $p is bound here, or must be the same
//	a> raw 10 05                                        bytes
//	a< nothing                                          nothing more has come
//	a< closed                                           the broker closed the connection
//	a> close                                            client a closes without DISCONNECT
//	wait 90s                                            of the broker's time
//	a> CONNECT version=5 session_expiry=60 ...          5.0: properties are fields like any other; see script5_test.go
//	a< DISCONNECT reason=0x8E
//	a> SUBSCRIBE pid=1 id=7 filter=t:1+nl+rap+rh2       no local, retain as published, retain handling
//	broker> restart                                     it stops and comes again with what was committed
//	broker> crash                                       the same without the stop
//	broker> stop                                        it stops
//	spool> hold, spool> release                         commits are held back
//	spool> fail, spool> heal                            commits fail

// stage is how a script is played.
type stage struct {
	tcp    bool // over TCP in real time, instead of net.Pipe in synthetic time
	single bool // every byte is written on its own
}

func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.mqtt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Regexp(t, `(?m)^# shows (v3\.1\.1|v5) MQTT-`, string(text), "%s does not tell which clauses it shows", file)
		name := strings.TrimSuffix(filepath.Base(file), ".mqtt")
		t.Run(name+"/whole packets", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, string(text), stage{}) })
		})
		t.Run(name+"/single bytes", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, string(text), stage{single: true}) })
		})
		if !strings.Contains(string(text), "\nwait ") {
			t.Run(name+"/TCP", func(t *testing.T) { play(t, string(text), stage{tcp: true}) })
		}
	}
}

// player plays one script.
type player struct {
	*testing.T
	stage
	cfg   broker.Config
	spool *sessiontest.Memory
	b     *testBroker
	peers map[string]*peer
	vars  map[string]string
}

// peer is one client's connection.
type peer struct {
	nc      net.Conn
	version mqtt.Version
	got     chan []byte // packets
	gone    chan struct{}
}

func play(t *testing.T, text string, s stage) {
	p := &player{T: t, stage: s, spool: sessiontest.NewMemory(), peers: map[string]*peer{}, vars: map[string]string{}}
	t.Cleanup(p.close)
	p.cfg = broker.DefaultConfig()
	p.cfg.Listeners = nil
	p.cfg.AllowAnonymous = true
	if s.tcp {
		onTCP(&p.cfg)
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if config, ok := strings.CutPrefix(line, "config "); ok {
			require.NoError(t, json.Unmarshal([]byte(config), &p.cfg), "line %d", n)
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if p.b == nil {
			p.start()
		}
		if err := p.step(line); err != nil {
			require.FailNow(t, fmt.Sprintf("line %d: %s: %v", n, line, err))
		}
	}
}

func (p *player) close() {
	if p.b != nil {
		p.b.stop()
	}
	for _, peer := range p.peers {
		peer.nc.Close()
		<-peer.gone
	}
	p.spool.Close()
}

func (p *player) start() {
	p.b = start(p.T, p.spool, func(c *broker.Config) { *c = p.cfg })
}

func (p *player) forgetPeers() {
	for name, c := range p.peers {
		c.nc.Close()
		<-c.gone
		delete(p.peers, name)
	}
}

// quiet waits until the broker has done all that it can.
func (p *player) quiet() {
	if !p.tcp {
		synctest.Wait()
	}
}

func (p *player) step(line string) error {
	who, what, found := strings.Cut(line, " ")
	if !found {
		return errors.New("no step")
	}
	switch {
	case who == "wait":
		d, err := time.ParseDuration(what)
		time.Sleep(d)
		p.quiet()
		return err
	case who == "broker>" && what == "restart":
		p.b.stop()
		p.forgetPeers()
		p.spool = p.spool.Reopen()
		p.start()
		return nil
	case who == "broker>" && what == "crash": // what it does from now on reaches nothing
		next := p.spool.Copy()
		p.b.stop()
		p.spool.Close()
		p.forgetPeers()
		p.spool = next
		p.start()
		return nil
	case who == "broker>" && what == "stop":
		p.b.stop()
		return nil
	case who == "spool>" && what == "hold":
		p.spool.Hold()
		return nil
	case who == "spool>" && what == "release":
		p.spool.Release()
		return nil
	case who == "spool>" && what == "fail":
		p.spool.Fail(errors.New("disk full"))
		return nil
	case who == "spool>" && what == "heal":
		p.spool.Fail(nil)
		return nil
	case strings.HasSuffix(who, ">"):
		return p.send(strings.TrimSuffix(who, ">"), what)
	case strings.HasSuffix(who, "<"):
		return p.expect(strings.TrimSuffix(who, "<"), what)
	}
	return errors.New("unknown step")
}

func (p *player) connect() (*peer, error) {
	c := &peer{version: mqtt.V311, got: make(chan []byte, 10000), gone: make(chan struct{})}
	if p.tcp {
		nc, err := net.Dial("tcp", p.b.address(p).String())
		if err != nil {
			return nil, err
		}
		c.nc = nc
	} else {
		here, there := net.Pipe()
		c.nc = here
		p.b.ServeConn(there)
	}
	go c.read()
	return c, nil
}

// read cuts what comes into packets.
func (c *peer) read() {
	defer close(c.gone)
	var have []byte
	chunk := make([]byte, 4096)
	for {
		n, err := c.nc.Read(chunk)
		if err != nil {
			return
		}
		have = append(have, chunk[:n]...)
		for {
			size, err := packet.Length(have, 0)
			if err != nil || size == 0 || size > len(have) {
				break
			}
			c.got <- slices.Clone(have[:size])
			have = have[size:]
		}
	}
}

func (p *player) send(name, what string) error {
	c := p.peers[name]
	if what == "close" {
		err := c.nc.Close()
		<-c.gone
		delete(p.peers, name)
		p.quiet()
		return err
	}
	if c != nil {
		select {
		case <-c.gone:
			c = nil
		default:
		}
	}
	if c == nil {
		var err error
		if c, err = p.connect(); err != nil {
			return err
		}
		p.peers[name] = c
	}
	raw, err := p.encode(c, what)
	if err != nil {
		return err
	}
	// A write may fail because the broker closed in the middle of it: the next step says whether it should have.
	if p.single {
		for i := range raw {
			_, _ = c.nc.Write(raw[i : i+1])
		}
	} else {
		_, _ = c.nc.Write(raw)
	}
	p.quiet()
	return nil
}

func (p *player) expect(name, what string) error {
	c := p.peers[name]
	if c == nil {
		return errors.New("there is no such client")
	}
	switch what {
	case "closed":
		if p.tcp {
			select {
			case <-c.gone:
			case <-time.After(10 * time.Second):
				return errors.New("still open after 10 s")
			}
		}
		p.quiet()
		select {
		case <-c.gone:
		default:
			return errors.New("it is open")
		}
		if len(c.got) > 0 {
			return fmt.Errorf("but first came %s", render(<-c.got, c.version))
		}
		return nil
	case "nothing":
		if p.tcp {
			return p.expectNothing(c)
		}
		p.quiet()
		if len(c.got) > 0 {
			return fmt.Errorf("there came %s", render(<-c.got, c.version))
		}
		return nil
	}
	raw, err := p.next(c)
	if err != nil {
		return err
	}
	if digits, ok := strings.CutPrefix(what, "raw "); ok {
		if got := hex.EncodeToString(raw); got != strings.ReplaceAll(digits, " ", "") {
			return fmt.Errorf("there came %s", got)
		}
		return nil
	}
	return p.compare(what, render(raw, c.version))
}

// expectNothing asks with a PINGREQ, whose answer comes behind everything else.
func (p *player) expectNothing(c *peer) error {
	if _, err := c.nc.Write(packet.AppendPingreq(nil)); err != nil {
		return err
	}
	raw, err := p.next(c)
	if err != nil {
		return err
	}
	if packet.TypeOf(raw[0]) != packet.PINGRESP {
		return fmt.Errorf("there came %s", render(raw, c.version))
	}
	return nil
}

func (p *player) next(c *peer) ([]byte, error) {
	p.quiet()
	if !p.tcp {
		select {
		case raw := <-c.got:
			return raw, nil
		default:
			return nil, errors.New("nothing came")
		}
	}
	select {
	case raw := <-c.got:
		return raw, nil
	case <-time.After(10 * time.Second):
		return nil, errors.New("nothing came within 10 s")
	}
}

// fields are the words of a packet: its type under "", then its fields.
type fields map[string]string

func parseFields(text string) (fields, []string, error) {
	f := fields{}
	var filters []string
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		end := strings.IndexByte(rest, ' ')
		if q := strings.Index(rest, `="`); q >= 0 && (end < 0 || q < end) {
			quoted, err := strconv.QuotedPrefix(rest[q+1:])
			if err != nil {
				return nil, nil, err
			}
			value, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, nil, err
			}
			f[rest[:q]] = value
			rest = rest[q+1+len(quoted):]
			continue
		}
		if end < 0 {
			end = len(rest)
		}
		key, value, has := strings.Cut(rest[:end], "=")
		switch {
		case !has:
			f[""] = key
		case key == "filter":
			filters = append(filters, value)
		default:
			f[key] = value
		}
		rest = rest[end:]
	}
	return f, filters, nil
}

func (p *player) compare(want string, got fields) error {
	expected, _, err := parseFields(want)
	if err != nil {
		return err
	}
	for key, value := range expected {
		if !strings.HasPrefix(value, "$") || key == "topic" {
			continue
		}
		if bound, ok := p.vars[value]; ok {
			expected[key] = bound
		} else {
			p.vars[value] = got[key]
			expected[key] = got[key]
		}
	}
	if _, says := expected["pid"]; !says && got[""] == "PUBLISH" {
		delete(got, "pid")
	}
	if _, says := expected["reason_string"]; !says {
		delete(got, "reason_string")
	}
	if !maps.Equal(expected, got) {
		return fmt.Errorf("there came %v", got)
	}
	return nil
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// render gives the fields of a packet that have not their default.
func render(raw []byte, v mqtt.Version) fields {
	kind := packet.TypeOf(raw[0])
	f := fields{"": kind.String()}
	var err error
	switch kind {
	case packet.CONNACK:
		var p packet.Connack
		err = p.Decode(raw, v)
		f["session_present"] = bit(p.SessionPresent)
		if v < mqtt.V5 {
			f["code"] = strconv.Itoa(int(p.Reason.ReturnCode()))
		} else {
			renderConnack(f, &p)
		}
	case packet.PUBLISH:
		var p packet.Publish
		err = p.Decode(raw, v)
		f["topic"], f["payload"], f["qos"], f["pid"] = string(p.Topic), string(p.Payload), strconv.Itoa(int(p.QoS)), strconv.Itoa(int(p.PacketID))
		f["dup"], f["retain"] = bit(p.Dup), bit(p.Retain)
		renderPublish(f, &p)
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		var p packet.Ack
		err = p.Decode(raw, v)
		f["pid"], f["reason"], f["reason_string"] = strconv.Itoa(int(p.PacketID)), reason(p.Reason), p.ReasonString
	case packet.DISCONNECT:
		var p packet.Disconnect
		err = p.Decode(raw, v)
		f["reason"], f["reason_string"] = reason(p.Reason), p.ReasonString
	case packet.SUBACK:
		var p packet.Suback
		err = p.Decode(raw, v)
		f["pid"] = strconv.Itoa(int(p.PacketID))
		f["codes"] = codes(p.Reasons)
	case packet.UNSUBACK:
		var p packet.Unsuback
		err = p.Decode(raw, v)
		f["pid"], f["codes"] = strconv.Itoa(int(p.PacketID)), codes(p.Reasons)
	}
	if err != nil {
		f["error"] = err.Error()
	}
	maps.DeleteFunc(f, func(key, value string) bool {
		return key != "" && (value == "" || value == "0" && key != "codes" && key != "payload" && key != "expiry" && key != "session_expiry")
	})
	return f
}

// encode makes the packet that a line describes.
func (p *player) encode(c *peer, text string) ([]byte, error) {
	if digits, ok := strings.CutPrefix(text, "raw "); ok {
		return hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	}
	f, filters, err := parseFields(text)
	if err != nil {
		return nil, err
	}
	number := func(key string) int {
		value := f[key]
		if bound, ok := p.vars[value]; ok {
			value = bound
		}
		n64, convErr := strconv.ParseInt(value, 0, 64)
		n := int(n64)
		if f[key] != "" && convErr != nil {
			err = convErr
		}
		return n
	}
	var raw []byte
	switch pid := uint16(number("pid")); f[""] {
	case "CONNECT":
		raw = p.encodeConnect(c, f, number)
	case "PUBLISH":
		payload := f["payload"]
		if n := number("size"); n > 0 {
			payload = strings.Repeat("x", n)
		}
		publish := packet.Publish{
			Topic: []byte(f["topic"]), Payload: []byte(payload), QoS: mqtt.QoS(number("qos")), PacketID: pid,
			Retain: number("retain") == 1, Dup: number("dup") == 1,
			TopicAlias: uint16(number("alias")), Expiry: uint32(number("expiry")), HasExpiry: f["expiry"] != "", Props: properties(f["props"]),
		}
		if f["id"] != "" {
			publish.SubscriptionIDs = []uint32{uint32(number("id"))}
		}
		raw = publish.Append(nil, c.version)
	case "PUBACK", "PUBREC", "PUBREL", "PUBCOMP":
		kind := packet.PUBACK + packet.Type(slices.Index([]string{"PUBACK", "PUBREC", "PUBREL", "PUBCOMP"}, f[""]))
		raw = (&packet.Ack{Type: kind, PacketID: pid, Reason: mqtt.ReasonCode(number("reason"))}).Append(nil, c.version)
	case "SUBSCRIBE":
		s := packet.Subscribe{PacketID: pid}
		for _, filter := range filters {
			at := strings.LastIndexByte(filter, ':')
			sub, subErr := subscription(filter[:at], filter[at+1:])
			if subErr != nil {
				return nil, subErr
			}
			sub.ID = uint32(number("id"))
			s.Subscriptions = append(s.Subscriptions, sub)
		}
		raw = s.Append(nil, c.version)
	case "UNSUBSCRIBE":
		raw = (&packet.Unsubscribe{PacketID: pid, Filters: filters}).Append(nil, c.version)
	case "PINGREQ":
		raw = packet.AppendPingreq(nil)
	case "DISCONNECT":
		raw = (&packet.Disconnect{
			Reason: mqtt.ReasonCode(number("reason")), SessionExpiry: uint32(number("session_expiry")), HasSessionExpiry: f["session_expiry"] != "",
		}).Append(nil, c.version)
	case "AUTH":
		raw = (&packet.Auth{Reason: mqtt.ReasonCode(number("reason")), Method: f["auth_method"]}).Append(nil)
	default:
		return nil, errors.New("no such packet")
	}
	return raw, err
}

func (p *player) encodeConnect(c *peer, f fields, number func(string) int) []byte {
	if v := number("version"); v > 0 {
		c.version = mqtt.Version(v)
	}
	connect := packet.Connect{
		Version:     c.version,
		ClientID:    f["client_id"],
		CleanStart:  f["clean_session"] != "0",
		KeepAlive:   uint16(number("keep_alive")),
		Username:    f["username"],
		HasUsername: f["username"] != "",
		Password:    []byte(f["password"]),
		HasPassword: f["password"] != "",
		HasWill:     f["will_topic"] != "",
		Will: packet.Will{
			Topic: f["will_topic"], Payload: []byte(f["will_payload"]),
			QoS: mqtt.QoS(number("will_qos")), Retain: number("will_retain") == 1,
			Delay: uint32(number("will_delay")), Expiry: uint32(number("will_expiry")), HasExpiry: f["will_expiry"] != "", Props: properties(f["will_props"]),
		},
		SessionExpiry:  uint32(number("session_expiry")),
		ReceiveMaximum: uint16(number("receive_maximum")),
		MaxPacketSize:  uint32(number("max_packet_size")),
		TopicAliasMax:  uint16(number("topic_alias_maximum")),
		RequestProblem: f["request_problem"] != "0",
		AuthMethod:     f["auth_method"],
	}
	if c.version >= mqtt.V5 {
		connect.CleanStart = f["clean_start"] != "0"
	}
	return connect.Append(nil)
}
