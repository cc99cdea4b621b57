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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// A script in testdata/*.mqtt is a conversation, a step a line:
//
//	# what it is about, then the statements that it shows (see internal/conformance)
//	# shows v3.1.1 MQTT-3.1.2-24, v5 MQTT-3.1.2-22
//	# ours: why no other broker can play it            make judge leaves it out
//	config {"max_inflight": 2}                          before the first step
//	a> CONNECT client_id=x clean_session=0              client a sends; the first packet opens its connection
//	a< CONNACK session_present=1                        client a gets exactly this; what is not said has its default
//	a~ CONNACK -- v3.1.1 MQTT-3.2.2-2: why              mosquitto does this instead; the clause that decides
//	a~? closed -- v3.1.1 3.1: why                       mosquitto may do this instead, as its clock goes
//	a~> PUBACK pid=5                                    sent to mosquitto only, because of what it did instead
//	a< PUBLISH topic=t qos=1 pid=$p payload="a b"       $p is bound here, or must be the same
//	a> PUBLISH topic=@65535                             so many letters x
//	a> raw 10 05                                        bytes
//	a> raw 30 | 't' 78                                  | is the remaining length, 't' a string with its length
//	a< nothing                                          nothing more has come
//	a< closed                                           the broker closed the connection
//	a< closed at once                                   after whatever came before
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
	tcp       bool          // over TCP in real time, instead of net.Pipe in synthetic time
	single    bool          // every byte is written on its own
	webSocket bool          // in frames that are not aligned with packets
	patience  time.Duration // how long to wait for a packet over TCP; 0 for 10 s
	quietly   bool          // over TCP: silence is waited for, not asked for with a PINGREQ
	sorted    bool          // PUBLISH may come before or behind what else is expected, and an expiry may be a second less
}

func TestConversations(t *testing.T) {
	texts := conversations(t)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := texts[name]
		t.Run(name+"/whole packets", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, text, stage{}) })
		})
		t.Run(name+"/single bytes", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, text, stage{single: true}) })
		})
		if !strings.Contains(text, "\nwait ") {
			t.Run(name+"/TCP", func(t *testing.T) { play(t, text, stage{tcp: true}) })
		}
	}
}

// TestConversationsOverWebSocket plays the conversations in frames that hold
// parts of packets.
//
// shows v3.1.1 MQTT-6.0.0-2, v5 MQTT-6.0.0-2
func TestConversationsOverWebSocket(t *testing.T) {
	texts := conversations(t)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if text := texts[name]; !strings.Contains(text, "\nwait ") {
			t.Run(name, func(t *testing.T) { play(t, text, stage{tcp: true, webSocket: true}) })
		}
	}
}

// conversations gives the texts of all scripts by their names.
func conversations(t *testing.T) map[string]string {
	files, err := filepath.Glob("testdata/*.mqtt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Regexp(t, `(?m)^# shows (v3\.1\.1|v5) MQTT-`, string(text), "%s does not tell which clauses it shows", file)
		texts[strings.TrimSuffix(filepath.Base(file), ".mqtt")] = string(text)
	}
	return texts
}

// played is the broker that a script talks to.
type played interface {
	start() // for the first time
	dial() (net.Conn, error)
	do(command string) error // restart, crash, stop, or what the spool is to do
	wait(d time.Duration)    // of its time
	close()
}

// player plays one script.
type player struct {
	*testing.T
	stage
	broker played
	peers  map[string]*peer
	vars   map[string]string
	open   string // the peer whose connection another broker left open
}

// peer is one client's connection.
type peer struct {
	nc      net.Conn
	version mqtt.Version
	got     chan []byte // packets
	gone    chan struct{}
	held    [][]byte // packets that came before the one that was expected
	pings   int      // PINGRESP that nobody waits for any more
	loose   bool     // it published, and nothing says yet that the broker has read that
}

func play(t *testing.T, text string, s stage) {
	o := newOurs(t, s)
	for n, line := range steps(t, text, &o.cfg) {
		if strings.Contains(strings.Fields(line)[0], "~") {
			continue
		}
		if o.player == nil {
			o.player = newPlayer(t, s, o)
			o.start()
		}
		if err := o.player.step(line); err != nil {
			require.FailNow(t, fmt.Sprintf("line %d: %s: %v", n, line, err))
		}
	}
}

// steps gives the steps of a script with their line numbers, and sets what it configures.
func steps(t *testing.T, text string, cfg *broker.Config) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(text) {
			n++
			line = strings.TrimSpace(line)
			if config, ok := strings.CutPrefix(line, "config "); ok {
				require.NoError(t, json.Unmarshal([]byte(config), cfg), "line %d", n)
				continue
			}
			if line != "" && line[0] != '#' && !yield(n, line) {
				return
			}
		}
	}
}

func newPlayer(t *testing.T, s stage, b played) *player {
	p := &player{T: t, stage: s, broker: b, peers: map[string]*peer{}, vars: map[string]string{}}
	t.Cleanup(p.close)
	return p
}

func (p *player) close() {
	p.broker.close()
	p.forgetPeers()
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
		p.broker.wait(d)
		p.quiet()
		return err
	case who == "broker>" && what != "stop":
		err := p.broker.do(what)
		p.forgetPeers()
		return err
	case who == "broker>" || who == "spool>":
		return p.broker.do(what)
	case strings.HasSuffix(who, ">"):
		return p.send(strings.TrimSuffix(who, ">"), what)
	case strings.HasSuffix(who, "<"):
		return p.expect(strings.TrimSuffix(who, "<"), what)
	}
	return errors.New("unknown step")
}

func (p *player) connect() (*peer, error) {
	nc, err := p.broker.dial()
	if err != nil {
		return nil, err
	}
	c := &peer{nc: nc, version: mqtt.V311, got: make(chan []byte, 10000), gone: make(chan struct{})}
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
	c.loose = c.loose || strings.HasPrefix(what, "PUBLISH ")
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
	case "closed", "closed at once":
		if what == "closed at once" {
			defer c.forget()
		}
		if p.tcp {
			select {
			case <-c.gone:
			case <-time.After(p.longest()):
				return errors.New("it is still open")
			}
		}
		p.quiet()
		select {
		case <-c.gone:
		default:
			return errors.New("it is open")
		}
		if raw := c.look(); raw != nil && what == "closed" {
			return fmt.Errorf("but first came %s", render(raw, c.version))
		}
		return nil
	case "nothing":
		if p.tcp {
			return p.expectNothing(c)
		}
		p.quiet()
		if raw := c.look(); raw != nil {
			return fmt.Errorf("there came %s", render(raw, c.version))
		}
		return nil
	}
	isPublish := strings.HasPrefix(what, "PUBLISH ") || strings.HasPrefix(what, "raw 3")
	raw, err := p.next(c, func(raw []byte) bool {
		return !p.sorted || (packet.TypeOf(raw[0]) == packet.PUBLISH) == isPublish
	})
	if err != nil {
		return err
	}
	if digits, ok := strings.CutPrefix(what, "raw "); ok {
		if got := hex.EncodeToString(raw); got != strings.ReplaceAll(digits, " ", "") {
			err = fmt.Errorf("there came %s", got)
		}
	} else {
		err = p.compare(what, render(raw, c.version))
	}
	if err != nil {
		c.held = slices.Insert(c.held, 0, raw)
	}
	return err
}

// expectNothing asks with a PINGREQ, whose answer comes behind everything else.
func (p *player) expectNothing(c *peer) error {
	if p.quietly {
		time.Sleep(300 * time.Millisecond)
		if raw := c.look(); raw != nil {
			return fmt.Errorf("there came %s", render(raw, c.version))
		}
		return nil
	}
	if len(c.held) > 0 {
		return fmt.Errorf("there came %s", render(c.held[0], c.version))
	}
	p.tighten()
	if _, err := c.nc.Write(packet.AppendPingreq(nil)); err != nil {
		return err
	}
	raw, err := p.next(c, func([]byte) bool { return true })
	if err != nil {
		return err
	}
	if packet.TypeOf(raw[0]) != packet.PINGRESP {
		c.held, c.pings = append(c.held, raw), c.pings+1
		return fmt.Errorf("there came %s", render(raw, c.version))
	}
	return nil
}

// tighten waits until the broker has read what all have published: "nothing" would
// else be true too early, and what comes late would look like the fault of a later step.
func (p *player) tighten() {
	for _, c := range p.peers {
		if !c.loose {
			continue
		}
		c.loose = false
		if _, err := c.nc.Write(packet.AppendPingreq(nil)); err == nil {
			_, _ = p.next(c, func(raw []byte) bool { return packet.TypeOf(raw[0]) == packet.PINGRESP })
		}
	}
}

// longest is how long to wait for a packet over TCP.
func (p *player) longest() time.Duration {
	if p.patience > 0 {
		return p.patience
	}
	return 10 * time.Second
}

// look gives what has come without taking it; nil when nothing has.
func (c *peer) look() []byte {
	if len(c.held) == 0 && len(c.got) > 0 {
		c.held = append(c.held, <-c.got)
	}
	if len(c.held) == 0 {
		return nil
	}
	return c.held[0]
}

// forget drops what has come.
func (c *peer) forget() {
	c.held = nil
	for len(c.got) > 0 {
		<-c.got
	}
}

// next takes the first packet that is wanted; the others are held.
func (p *player) next(c *peer, wanted func([]byte) bool) ([]byte, error) {
	p.quiet()
	if i := slices.IndexFunc(c.held, wanted); i >= 0 {
		raw := c.held[i]
		c.held = slices.Delete(c.held, i, i+1)
		return raw, nil
	}
	timeout := time.After(p.longest())
	for {
		raw, err := p.receive(c, timeout)
		switch {
		case err != nil:
			return nil, err
		case c.pings > 0 && packet.TypeOf(raw[0]) == packet.PINGRESP:
			c.pings--
		case wanted(raw):
			return raw, nil
		default:
			c.held = append(c.held, raw)
		}
	}
}

func (p *player) receive(c *peer, timeout <-chan time.Time) ([]byte, error) {
	select {
	case raw := <-c.got:
		return raw, nil
	default:
	}
	if !p.tcp {
		return nil, errors.New("nothing came")
	}
	select {
	case raw := <-c.got:
		return raw, nil
	case <-c.gone:
		if len(c.got) > 0 {
			return <-c.got, nil
		}
		return nil, errors.New("it was closed")
	case <-timeout:
		return nil, errors.New("nothing came in time")
	}
}
