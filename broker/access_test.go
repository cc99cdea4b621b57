package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/access"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

var (
	read  = []access.Action{access.Read}
	write = []access.Action{access.Write}
	both  = []access.Action{access.Read, access.Write}
)

// gatedBroker is a broker with accounts whose passwords are their names.
type gatedBroker struct {
	*testBroker
	accounts *broker.Accounts
}

func gated(t testing.TB, spool session.Spool, rules []access.Rule, users ...string) *gatedBroker {
	t.Helper()
	accounts := broker.NewAccounts()
	var list []broker.Account
	for _, user := range users {
		list = append(list, broker.Account{Username: user, PasswordHash: hash(t, user)})
	}
	accounts.Set(list)
	g := &gatedBroker{accounts: accounts}
	g.rule(t, rules)
	g.testBroker = startWith(t, spool, accounts, func(c *broker.Config) {
		onTCP(c)
		c.AllowAnonymous = false
	})
	return g
}

// rule makes the rules those that hold.
func (g *gatedBroker) rule(t testing.TB, rules []access.Rule) {
	t.Helper()
	for i := range rules {
		rules[i].ID = fmt.Sprint("r", i)
		require.Empty(t, rules[i].Validate())
	}
	g.accounts.SetPolicy(access.New(rules, broker.Config{}.Access()))
}

// voice is a client of some version, with what CONNACK said.
type voice struct {
	*testClient
	version mqtt.Version
	connack packet.Connack
}

// as connects with the user's name as client identifier, name and password.
func (g *gatedBroker) as(t testing.TB, version mqtt.Version, user string, change func(*packet.Connect)) *voice {
	t.Helper()
	connect := packet.Connect{Version: version, ClientID: user, CleanStart: true, HasUsername: true, Username: user, HasPassword: true, Password: []byte(user)}
	if change != nil {
		change(&connect)
	}
	return hear(t, connectTo(t, g.testBroker, connect), version)
}

// hear waits for CONNACK.
func hear(t testing.TB, c *testClient, version mqtt.Version) *voice {
	t.Helper()
	v := &voice{testClient: c, version: version}
	require.NoError(t, v.connack.Decode(c.recv(), version))
	return v
}

// subscribeTo gives what SUBACK says.
func (v *voice) subscribeTo(filters ...string) []mqtt.ReasonCode {
	p := packet.Subscribe{PacketID: 9}
	for _, filter := range filters {
		p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: filter, QoS: 1})
	}
	v.send(p.Append(nil, v.version))
	for {
		raw := v.recv()
		if packet.TypeOf(raw[0]) != packet.SUBACK {
			continue
		}
		var ack packet.Suback
		require.NoError(v, ack.Decode(raw, v.version))
		return ack.Reasons
	}
}

// say publishes at QoS 1 or 2 and gives the answer.
func (v *voice) say(topic string, qos mqtt.QoS) packet.Ack {
	p := packet.Publish{Topic: []byte(topic), Payload: []byte(topic), QoS: qos, PacketID: 7}
	v.send(p.Append(nil, v.version))
	var ack packet.Ack
	require.NoError(v, ack.Decode(v.recv(), v.version))
	return ack
}

// isDenied publishes at QoS 1; its own message may come back before the answer.
func (v *voice) isDenied(topic string) bool {
	v.send((&packet.Publish{Topic: []byte(topic), QoS: 1, PacketID: 7}).Append(nil, v.version))
	for {
		raw := v.recv()
		if packet.TypeOf(raw[0]) == packet.PUBACK {
			var ack packet.Ack
			require.NoError(v, ack.Decode(raw, v.version))
			return ack.Reason == mqtt.NotAuthorized
		}
		var own packet.Publish
		require.NoError(v, own.Decode(raw, v.version))
		v.send(packet.AppendAck(nil, packet.PUBACK, own.PacketID))
	}
}

// until gives the topics of the messages up to the one named last, acknowledged.
func (v *voice) until(last string) (topics []string) {
	for {
		raw := v.recv()
		var p packet.Publish
		require.NoError(v, p.Decode(raw, v.version))
		if p.QoS == mqtt.AtLeastOnce {
			v.send(packet.AppendAck(nil, packet.PUBACK, p.PacketID))
		}
		if string(p.Topic) == last {
			return topics
		}
		topics = append(topics, string(p.Topic))
	}
}

func TestAccess_RulesActOnWhoIsConnected(t *testing.T) {
	b := gated(t, memory(t), nil, "pump")
	c := b.as(t, mqtt.V5, "pump", nil)
	require.Equal(t, []mqtt.ReasonCode{1, 1}, c.subscribeTo("#", "site/#"), "while there is no rule, accounts may do everything")
	heard := func() []string {
		publish(t, b.Broker, mqtt.Message{Topic: "site/pump/x", QoS: 1})
		publish(t, b.Broker, mqtt.Message{Topic: "home/x", QoS: 1})
		publish(t, b.Broker, mqtt.Message{Topic: "end"})
		return c.until("end")
	}
	end := access.Rule{Filter: "end", Allow: read}
	for _, step := range []struct {
		name   string
		rules  []access.Rule
		hears  []string
		writes bool
	}{
		{"no rule", nil, []string{"site/pump/x", "home/x"}, true},
		{"own topics", []access.Rule{end, {Filter: "site/%u/#", Allow: read}}, []string{"site/pump/x"}, false},
		{"may write too", []access.Rule{end, {Filter: "site/%u/#", Allow: both}}, []string{"site/pump/x"}, true},
		{"nothing", []access.Rule{end}, nil, false},
		{"denied", []access.Rule{end, {Account: "pump", Filter: "site/#", Deny: both}, {Filter: "#", Allow: both}}, []string{"home/x"}, false},
		{"of somebody else", []access.Rule{end, {Account: "fan", Filter: "#", Allow: both}}, nil, false},
		{"no rule again", nil, []string{"site/pump/x", "home/x"}, true},
	} {
		b.rule(t, step.rules)
		require.Equal(t, step.hears, heard(), step.name)
		denied := c.isDenied("site/pump/w")
		require.Equal(t, step.writes, !denied, step.name)
		if step.writes && len(step.hears) > 0 { // it comes back by its own subscription, before or after the PUBACK
			publish(t, b.Broker, mqtt.Message{Topic: "end"})
			c.until("end")
		}
	}
	c.close()
}

func TestAccess_QueuedAndRetainedMessages(t *testing.T) {
	spool := memory(t)
	b := gated(t, spool, nil, "pump", "fan")
	durable := func(user string) func(c *packet.Connect) {
		return func(c *packet.Connect) {
			c.ClientID, c.CleanStart, c.SessionExpiry = "device", false, 3600
			c.Username, c.Password = user, []byte(user)
		}
	}
	c := b.as(t, mqtt.V5, "pump", durable("pump"))
	c.subscribeTo("#")
	c.close()
	require.Eventually(t, func() bool { return b.Stats().ClientsConnected == 0 }, 20*time.Second, time.Millisecond)
	queue := func() {
		for _, topic := range []string{"site/pump/x", "site/fan/x", "end"} {
			publish(t, b.Broker, mqtt.Message{Topic: topic, QoS: 1, Retain: topic != "end"})
		}
	}
	queue()
	own := []access.Rule{{Filter: "site/%u/#", Allow: both}, {Filter: "end", Allow: read}}
	b.rule(t, own)
	c = b.as(t, mqtt.V5, "pump", durable("pump"))
	require.True(t, c.connack.SessionPresent)
	require.Equal(t, []string{"site/pump/x"}, c.until("end"), "what was queued before the rule")
	require.Equal(t, []mqtt.ReasonCode{mqtt.NotAuthorized, 1}, c.subscribeTo("site/fan/#", "site/#"))
	publish(t, b.Broker, mqtt.Message{Topic: "end", QoS: 1})
	require.NotContains(t, c.until("end"), "site/fan/x", "a retained message")
	c.close()
	require.Eventually(t, func() bool { return b.Stats().ClientsConnected == 0 }, 20*time.Second, time.Millisecond)

	b.rule(t, nil)
	queue()
	b.rule(t, own)
	c = b.as(t, mqtt.V5, "fan", durable("fan"))
	require.Equal(t, []string{"site/fan/x"}, c.until("end"), "who takes a session over gets what is his")
	c.close()
}

func TestAccess_OfflineSessionKeepsItsUserOverARestart(t *testing.T) {
	spool := memory(t)
	rules := []access.Rule{{Filter: "site/%u/#", Allow: both}}
	b := gated(t, spool, rules, "pump")
	durable := func(c *packet.Connect) { c.CleanStart = false }
	c := b.as(t, mqtt.V311, "pump", durable)
	c.subscribeTo("#")
	c.close()
	require.Eventually(t, func() bool { return b.Stats().ClientsConnected == 0 }, 20*time.Second, time.Millisecond)
	b.stop()
	spool = spool.Reopen()
	t.Cleanup(spool.Close)
	b = gated(t, spool, rules, "pump")
	publish(t, b.Broker, mqtt.Message{Topic: "site/fan/x", QoS: 1})
	publish(t, b.Broker, mqtt.Message{Topic: "site/pump/x", QoS: 1})
	require.EqualValues(t, 1, b.Stats().QueuedMessages, "what it may not read is not kept for it")
	c = b.as(t, mqtt.V311, "pump", durable)
	require.Empty(t, c.until("site/pump/x"))
	c.close()
}

func TestAccess_MessagesTellWhetherTheyMayBeAnswered(t *testing.T) {
	g := gated(t, memory(t), []access.Rule{{Filter: "set", Allow: write}, {Filter: "answers/%u", Allow: write}}, "panel")
	local, err := g.Attach(t.Context(), mqtt.Attachment{ClientID: "$bridge/b", Subscriptions: []mqtt.Subscription{{Filter: "set", QoS: 1}}})
	require.NoError(t, err)
	defer local.Close()
	panel := g.as(t, mqtt.V5, "panel", nil)
	for topic, unanswered := range map[string]bool{"answers/panel": false, "answers/other": true, "": false} {
		p := packet.Publish{Topic: []byte("set"), Payload: []byte(topic), QoS: 1, PacketID: 7}
		if topic != "" {
			p.Props = p.Props.AppendResponseTopic(topic)
		}
		panel.send(p.Append(nil, mqtt.V5))
		got, err := local.Next(t.Context(), 1)
		require.NoError(t, err)
		local.Ack(got[0].Message.ID)
		require.Equal(t, topic, got[0].Message.Props.ResponseTopic(), "it travels in any case")
		require.Equal(t, unanswered, got[0].Message.Unanswered, topic)
	}
}

func TestAccess_SharedSubscriptionSkipsWhoMayNotRead(t *testing.T) {
	b := gated(t, memory(t), []access.Rule{{Account: "pump", Filter: "site/#", Allow: read}, {Filter: "end", Allow: read}, {Account: "fan", Filter: "site/x", Allow: read}}, "pump", "fan")
	pump, fan := b.as(t, mqtt.V5, "pump", nil), b.as(t, mqtt.V5, "fan", nil)
	for _, c := range []*voice{pump, fan} {
		require.Equal(t, []mqtt.ReasonCode{1, 1}, c.subscribeTo("$share/g/site/#", "end"))
	}
	require.Equal(t, []mqtt.ReasonCode{mqtt.NotAuthorized}, fan.subscribeTo("$share/g/home/#"))
	for range 6 {
		publish(t, b.Broker, mqtt.Message{Topic: "site/y", QoS: 0})
	}
	publish(t, b.Broker, mqtt.Message{Topic: "end"})
	require.Len(t, pump.until("end"), 6)
	require.Empty(t, fan.until("end"))
	pump.close()
	fan.close()
}

func TestAccess_WillIsAskedAgainWhenItIsPublished(t *testing.T) {
	b := gated(t, memory(t), nil, "pump")
	ear := attach(t, b.Broker, mqtt.Attachment{ClientID: "$ear", Subscriptions: []mqtt.Subscription{{Filter: "#", QoS: 1}}})
	c := b.as(t, mqtt.V311, "pump", func(c *packet.Connect) {
		c.HasWill, c.Will = true, packet.Will{Topic: "site/will", Payload: []byte("w")}
	})
	b.rule(t, []access.Rule{{Filter: "site/#", Allow: read}})
	c.close()
	require.Eventually(t, func() bool { return b.Stats().ClientsConnected == 0 }, 20*time.Second, time.Millisecond)
	require.Zero(t, heardAt(t, b.Broker, ear, "site/will"))
}

func TestAccess_AccountsActOnWhoIsConnected(t *testing.T) {
	b := gated(t, memory(t), nil, "pump", "fan")
	pump, fan := b.as(t, mqtt.V5, "pump", nil), b.as(t, mqtt.V311, "fan", nil)
	b.accounts.Set([]broker.Account{{Username: "fan", PasswordHash: hash(t, "other")}})
	var gone packet.Disconnect
	require.NoError(t, gone.Decode(pump.recv(), mqtt.V5))
	require.Equal(t, mqtt.NotAuthorized, gone.Reason)
	_, err := fan.tryRecv()
	require.Error(t, err, "3.1.1 has no DISCONNECT from the server")
	require.Equal(t, mqtt.BadUserNameOrPassword, b.as(t, mqtt.V5, "fan", nil).connack.Reason)
	pump.close()
	fan.close()
}

func TestSubscriptions_AreLimited(t *testing.T) {
	b := start(t, memory(t), func(c *broker.Config) {
		onTCP(c)
		c.MaxSubscriptions = 2
	})
	c := &voice{testClient: dial(t, b, packet.Connect{ClientID: "c", CleanStart: true}), version: mqtt.V311}
	require.Equal(t, []mqtt.ReasonCode{1, 1, 0x80}, c.subscribeTo("a", "b", "c"))
	require.Equal(t, []mqtt.ReasonCode{1}, c.subscribeTo("a"), "one that it has")
	u := packet.Unsubscribe{PacketID: 3, Filters: []string{"a"}}
	c.send(u.Append(nil, mqtt.V311))
	require.Equal(t, packet.UNSUBACK, packet.TypeOf(c.recv()[0]))
	require.Equal(t, []mqtt.ReasonCode{1, 0x80}, c.subscribeTo("c", "d"))
	c.close()
	modern := connectTo(t, b, packet.Connect{Version: mqtt.V5, ClientID: "m", CleanStart: true})
	v := &voice{testClient: modern, version: mqtt.V5}
	require.NoError(t, v.connack.Decode(v.recv(), mqtt.V5))
	require.Equal(t, []mqtt.ReasonCode{1, 1, mqtt.QuotaExceeded}, v.subscribeTo("a", "b", "c"))
	v.close()
}
