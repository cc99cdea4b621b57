package broker

import (
	"strings"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// describePacket decodes one packet for a person. Payload points into raw.
func describePacket(raw []byte, v mqtt.Version) TraceEvent {
	kind := packet.TypeOf(raw[0])
	e := TraceEvent{Type: kind.String(), Bytes: len(raw)}
	var err error
	switch kind {
	case packet.CONNECT:
		err = e.connect(raw)
	case packet.CONNACK:
		var p packet.Connack
		if err = p.Decode(raw, v); err == nil {
			e.Present = &p.SessionPresent
			e.reasons(p.Reason)
		}
	case packet.PUBLISH:
		err = e.publish(raw, v)
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		var p packet.Ack
		if err = p.Decode(raw, v); err == nil {
			e.PacketID = p.PacketID
			if v >= mqtt.V5 {
				e.reasons(p.Reason)
			}
		}
	case packet.SUBSCRIBE, packet.UNSUBSCRIBE, packet.SUBACK, packet.UNSUBACK:
		err = e.subscription(kind, raw, v)
	case packet.DISCONNECT:
		var p packet.Disconnect
		if err = p.Decode(raw, v); err == nil && v >= mqtt.V5 {
			e.reasons(p.Reason)
		}
	}
	if err != nil {
		e.Error = err.Error()
	}
	return e
}

func (e *TraceEvent) connect(raw []byte) error {
	var p packet.Connect
	if err := p.Decode(raw); err != nil {
		return err
	}
	e.Connect = &TraceConnect{
		ClientID: cut(p.ClientID), Protocol: protocolName(p.Version), CleanStart: p.CleanStart, KeepAlive: int(p.KeepAlive),
		Username: cut(p.Username), HasPassword: p.HasPassword, WillTopic: cut(p.Will.Topic),
	}
	if p.Version >= mqtt.V5 {
		e.Connect.SessionExpiry = &p.SessionExpiry
	}
	return nil
}

func (e *TraceEvent) publish(raw []byte, v mqtt.Version) error {
	var p packet.Publish
	if err := p.Decode(raw, v); err != nil {
		return err
	}
	e.PacketID, e.Topic, e.Alias = p.PacketID, cut(string(p.Topic)), p.TopicAlias
	e.QoS, e.Retain, e.Dup = new(byte(p.QoS)), p.Retain, p.Dup
	e.PayloadBytes, e.Payload = new(len(p.Payload)), p.Payload
	return nil
}

func (e *TraceEvent) subscription(kind packet.Type, raw []byte, v mqtt.Version) error {
	switch kind {
	case packet.SUBSCRIBE:
		var p packet.Subscribe
		if err := p.Decode(raw, v); err != nil {
			return err
		}
		e.PacketID = p.PacketID
		for _, sub := range p.Subscriptions[:min(len(p.Subscriptions), traceFilters)] {
			e.Filters = append(e.Filters, TraceFilter{Filter: cut(sub.Filter), QoS: new(byte(sub.QoS))})
		}
	case packet.UNSUBSCRIBE:
		var p packet.Unsubscribe
		if err := p.Decode(raw, v); err != nil {
			return err
		}
		e.PacketID = p.PacketID
		for _, filter := range p.Filters[:min(len(p.Filters), traceFilters)] {
			e.Filters = append(e.Filters, TraceFilter{Filter: cut(filter)})
		}
	case packet.SUBACK:
		var p packet.Suback
		if err := p.Decode(raw, v); err != nil {
			return err
		}
		e.PacketID = p.PacketID
		e.reasons(p.Reasons...)
	case packet.UNSUBACK:
		var p packet.Unsuback
		if err := p.Decode(raw, v); err != nil {
			return err
		}
		e.PacketID = p.PacketID
		e.reasons(p.Reasons...)
	}
	return nil
}

func (e *TraceEvent) reasons(codes ...mqtt.ReasonCode) {
	for _, code := range codes[:min(len(codes), traceFilters)] {
		e.Reasons = append(e.Reasons, traceReason(code))
	}
}

func traceReason(code mqtt.ReasonCode) TraceReason {
	return TraceReason{Code: int(code), Text: code.String()}
}

// cut gives the beginning of a long text, in memory of its own.
func cut(s string) string {
	if len(s) <= traceText {
		return s
	}
	return strings.ToValidUTF8(s[:traceText], "") + "…"
}
