package broker_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/access"
	"fieldgate/broker/listen"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// cells is who may do what: c connects, r reads, w writes. anna has a certificate and no account, off an account
// that is disabled, and anonymous no name at all; open says that the host allows such clients.
const cells = `
topic                  pump  fan   ops   panel a+b   off  anna  anonymous
connect                c     c     c     c     c     -    c     -
connect, open          c     c     c     c     c     -    c     c
public                 r     r     rw    r     r     -    r     r
public/a               r     r     rw    r     r     -    r     r
site/pump/rpm          rw    -     rw    -     -     -    -     -
site/fan/rpm           -     rw    rw    -     -     -    -     -
site/anna/rpm          -     -     rw    -     -     -    rw    -
site/pump/secret       -     -     -     -     -     -    -     -
site/a+b               -     -     -     -     -     -    -     -
fieldgate/m/power      -     -     rw    r     -     -    w     -
fieldgate/m/power/set  -     -     rw    rw    -     -    w     -
$own                   -     -     -     -     -     -    -     -
end                    rw    rw    rw    rw    rw    -    rw    rw
`

func cellRules() []access.Rule {
	return []access.Rule{
		{Filter: "public/#", Allow: read},
		{Filter: "site/%u/#", Allow: both},
		{Filter: "site/+/secret", Deny: both},
		{Filter: "end", Allow: both},
		{Account: "ops", Filter: "#", Allow: both},
		{Account: "panel", Filter: "fieldgate/#", Allow: read},
		{Account: "panel", Filter: "fieldgate/+/+/set", Allow: write},
		{Account: "anna", Filter: "fieldgate/#", Allow: write},
	}
}

// cell is what one user may do with one topic.
type cell struct {
	user, topic string
	may         string
}

func (c cell) reads() bool  { return strings.Contains(c.may, "r") }
func (c cell) writes() bool { return strings.Contains(c.may, "w") }

// cellsOf reads the table: the cells of each user, and who connects, by the first word of its line.
func cellsOf(table string) (users []string, topics map[string][]cell, connects map[string]map[string]bool) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	users = strings.Fields(lines[0])[1:]
	topics, connects = map[string][]cell{}, map[string]map[string]bool{}
	for _, line := range lines[1:] {
		words := strings.Fields(line)
		named := len(words) - len(users) // a name may have two words
		what, marks := strings.Join(words[:named], " "), words[named:]
		if strings.HasPrefix(what, "connect") {
			connects[what] = map[string]bool{}
		}
		for i, user := range users {
			if connects[what] != nil {
				connects[what][user] = marks[i] == "c"
			} else {
				topics[user] = append(topics[user], cell{user, what, marks[i]})
			}
		}
	}
	return users, topics, connects
}

// cellBroker is a broker with everybody of the table, and a part of the gateway that hears everything.
type cellBroker struct {
	*gatedBroker
	ear  *broker.Local
	anna *tls.Config
}

func newCellBroker(t *testing.T, open bool) *cellBroker {
	k := newKeys(t)
	accounts := broker.NewAccounts()
	list := []broker.Account{{Username: "off", PasswordHash: hash(t, "off"), Disabled: true}}
	for _, user := range []string{"pump", "fan", "ops", "panel", "a+b"} {
		list = append(list, broker.Account{Username: user, PasswordHash: hash(t, user)})
	}
	accounts.Set(list)
	g := &gatedBroker{accounts: accounts}
	g.rule(t, cellRules())
	g.testBroker = startWith(t, memory(t), accounts, func(c *broker.Config) {
		c.Listeners = []listen.Config{{Address: "127.0.0.1:0", TLS: &k.cfg}}
		c.AllowAnonymous = open
	})
	ear := attach(t, g.Broker, mqtt.Attachment{ClientID: "$ear", Subscriptions: []mqtt.Subscription{{Filter: "#", QoS: 2}, {Filter: "$own", QoS: 2}}})
	return &cellBroker{gatedBroker: g, ear: ear, anna: k.client}
}

// connect lets somebody of the table connect.
func (b *cellBroker) connect(t *testing.T, version mqtt.Version, user string, change func(*packet.Connect)) *voice {
	t.Helper()
	connect := packet.Connect{Version: version, ClientID: user, CleanStart: true}
	if user != "anonymous" && user != "anna" {
		connect.HasUsername, connect.Username, connect.HasPassword, connect.Password = true, user, true, []byte(user)
	}
	if change != nil {
		change(&connect)
	}
	secure := b.anna.Clone()
	if user != "anna" {
		secure.Certificates = nil
	}
	nc, err := tls.Dial("tcp", b.address(t).String(), secure)
	require.NoError(t, err)
	return hear(t, connectOver(t, nc, connect), version)
}

func TestAccess_EveryCell(t *testing.T) {
	users, topics, connects := cellsOf(cells)
	for _, host := range []struct {
		name string
		open bool
	}{{"connect", false}, {"connect, open", true}} {
		b := newCellBroker(t, host.open)
		for _, version := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			for _, user := range users {
				t.Run(fmt.Sprintf("%s/version %d/%s", host.name, version, user), func(t *testing.T) {
					b.walk(t, version, user, connects[host.name][user], topics[user])
				})
			}
		}
	}
}

// walk tries everything that a user could do.
func (b *cellBroker) walk(t *testing.T, version mqtt.Version, user string, may bool, row []cell) {
	c := b.connect(t, version, user, nil)
	defer func() { c.close() }()
	require.Equal(t, may, !c.connack.Reason.Failed())
	if !may {
		require.Equal(t, mqtt.NotAuthorized, c.connack.Reason)
		return
	}
	var readable []string
	for _, cell := range row {
		if mqtt.CheckName(cell.topic) != nil {
			continue // no topic name; its filter is what counts
		}
		b.checkWrite(t, c, cell)
		b.checkWill(t, version, cell)
		if cell.topic == "end" {
			continue
		}
		require.Equal(t, cell.reads(), !c.subscribeTo(cell.topic)[0].Failed(), "SUBSCRIBE %s", cell.topic)
		if cell.reads() {
			readable = append(readable, cell.topic)
		}
	}
	c.close()
	c = b.connect(t, version, user, func(c *packet.Connect) { c.ClientID = "wide-" + user })
	require.False(t, c.subscribeTo("#")[0].Failed(), "wider than what is allowed, but not in vain")
	require.Equal(t, []mqtt.ReasonCode{1}, c.subscribeTo("end"))
	b.checkDelivery(t, c, row, readable)
	b.hears(t, "") // what was delivered
}

// checkWrite publishes at each QoS.
func (b *cellBroker) checkWrite(t *testing.T, c *voice, cell cell) {
	t.Helper()
	for _, qos := range []mqtt.QoS{1, 2} {
		ack := c.say(cell.topic, qos)
		b.checkAnswer(t, c, ack, cell)
	}
	p := packet.Publish{Topic: []byte(cell.topic), Payload: []byte(cell.topic)}
	c.send(p.Append(nil, c.version))
	c.send([]byte{0xC0, 0}) // what comes before the answer to it has been handled
	require.Equal(t, packet.PINGRESP, packet.TypeOf(c.recv()[0]))
	want := 0
	if cell.writes() {
		want = 3
	}
	require.Equal(t, want, b.hears(t, cell.topic), "PUBLISH %s", cell.topic)
}

// checkAnswer looks at PUBACK and PUBREC. Only 5.0 is told that it may not [v3.1.1 MQTT-3.3.5-2].
func (b *cellBroker) checkAnswer(t *testing.T, c *voice, ack packet.Ack, cell cell) {
	t.Helper()
	if c.version == mqtt.V5 {
		require.Equal(t, cell.writes(), !ack.Reason.Failed(), "PUBLISH %s", cell.topic)
		if !cell.writes() && cell.topic[0] != '$' {
			require.Equal(t, mqtt.NotAuthorized, ack.Reason)
		}
	}
	if ack.Type == packet.PUBREC && !ack.Reason.Failed() {
		c.send(packet.AppendAck(nil, packet.PUBREL, ack.PacketID))
		require.Equal(t, packet.PUBCOMP, packet.TypeOf(c.recv()[0]))
	}
}

// hears tells how many messages of the topic reached a part of the gateway; any, without a topic.
func (b *cellBroker) hears(t *testing.T, topic string) int {
	t.Helper()
	return heardAt(t, b.Broker, b.ear, topic)
}

// heardAt counts messages up to one that comes behind them.
func heardAt(t *testing.T, b *broker.Broker, ear *broker.Local, topic string) (count int) {
	t.Helper()
	publish(t, b, mqtt.Message{Topic: "behind", Payload: []byte("x")})
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		list, err := ear.Next(ctx, 1)
		cancel()
		require.NoError(t, err)
		heard := list[0].Message.Topic
		if heard == "behind" {
			return count
		}
		if topic != "" {
			require.Equal(t, topic, heard, "nobody has sent something else")
		}
		count++
	}
}

// checkWill leaves a will and breaks the connection.
func (b *cellBroker) checkWill(t *testing.T, version mqtt.Version, cell cell) {
	t.Helper()
	if cell.topic[0] == '$' {
		return // of 3.x such a will is ignored, rule or not
	}
	id := "will-" + cell.user
	c := b.connect(t, version, cell.user, func(c *packet.Connect) {
		c.ClientID, c.HasWill, c.Will = id, true, packet.Will{Topic: cell.topic, Payload: []byte("w")}
	})
	defer c.close()
	if !cell.writes() {
		require.Equal(t, mqtt.NotAuthorized, c.connack.Reason, "will %s", cell.topic)
		return
	}
	require.False(t, c.connack.Reason.Failed(), "will %s", cell.topic)
	c.send([]byte{0x00, 0x00}) // no packet: the connection ends without DISCONNECT
	for err := error(nil); err == nil; {
		_, err = c.tryRecv()
	}
	require.Eventually(t, func() bool {
		return !slices.ContainsFunc(b.Clients(), func(i broker.ClientInfo) bool { return i.ClientID == id })
	}, 20*time.Second, time.Millisecond)
	require.Equal(t, 1, b.hears(t, cell.topic), "will %s", cell.topic)
}

// checkDelivery publishes to every topic from inside.
func (b *cellBroker) checkDelivery(t *testing.T, wide *voice, row []cell, readable []string) {
	t.Helper()
	for _, qos := range []mqtt.QoS{0, 1} {
		for _, cell := range row {
			if cell.topic != "end" && mqtt.CheckName(cell.topic) == nil {
				publish(t, b.Broker, mqtt.Message{Topic: cell.topic, Payload: []byte("x"), QoS: qos})
			}
		}
		publish(t, b.Broker, mqtt.Message{Topic: "end", Payload: []byte("x"), QoS: qos})
		require.Equal(t, readable, wide.until("end"))
	}
}
