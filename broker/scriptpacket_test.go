package broker_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

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
			if rest[:q] == "filter" {
				filters = append(filters, value)
			} else {
				f[rest[:q]] = value
			}
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
	vars := maps.Clone(p.vars)
	for key, value := range expected {
		if !strings.HasPrefix(value, "$") || key == "topic" || key == "reason_string" {
			continue
		}
		if bound, ok := vars[value]; ok {
			expected[key] = bound
		} else {
			vars[value] = got[key]
			expected[key] = got[key]
		}
	}
	if _, says := expected["pid"]; !says && got[""] == "PUBLISH" {
		delete(got, "pid")
	}
	if _, says := expected["reason_string"]; !says {
		delete(got, "reason_string")
	}
	if p.sorted { // what is left of an expiry is less by one where a second ended meanwhile
		if left, err := strconv.Atoi(got["expiry"]); err == nil && expected["expiry"] == strconv.Itoa(left+1) {
			got["expiry"] = expected["expiry"]
		}
	}
	if !maps.Equal(expected, got) {
		return fmt.Errorf("there came %v", got)
	}
	p.vars = vars
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
		f["topic"], f["payload"], f["qos"], f["pid"] = short(string(p.Topic)), short(string(p.Payload)), strconv.Itoa(int(p.QoS)), strconv.Itoa(int(p.PacketID))
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

// rawBytes reads hexadecimal digits; a | stands for the remaining length of what
// follows, and 'text' for a string with its length before it.
func rawBytes(words string) ([]byte, error) {
	var raw []byte
	lengthAt := -1
	for _, word := range strings.Fields(words) {
		switch {
		case word == "|":
			lengthAt = len(raw)
		case word[0] == '\'':
			text, err := strconv.Unquote(`"` + strings.Trim(word, "'") + `"`)
			if err != nil {
				return nil, err
			}
			text = long(text)
			raw = append(binary.BigEndian.AppendUint16(raw, uint16(len(text))), text...)
		default:
			digits, err := hex.DecodeString(word)
			if err != nil {
				return nil, err
			}
			raw = append(raw, digits...)
		}
	}
	if lengthAt >= 0 {
		raw = slices.Insert(raw, lengthAt, variable(len(raw)-lengthAt)...)
	}
	return raw, nil
}

// variable writes a variable byte integer.
func variable(n int) (raw []byte) {
	for ; n >= 0x80; n >>= 7 {
		raw = append(raw, byte(n)|0x80)
	}
	return append(raw, byte(n))
}

// long gives the n letters x that @n stands for.
func long(text string) string {
	if n, err := strconv.Atoi(strings.TrimPrefix(text, "@")); err == nil && strings.HasPrefix(text, "@") {
		return strings.Repeat("x", n)
	}
	return text
}

// short is the reverse of long.
func short(text string) string {
	if len(text) > 50 && strings.Trim(text, "x") == "" {
		return "@" + strconv.Itoa(len(text))
	}
	return text
}

// noteVersion takes the version from a CONNECT that is sent as bytes.
func (c *peer) noteVersion(raw []byte) {
	var p packet.Connect
	if len(raw) > 0 && packet.TypeOf(raw[0]) == packet.CONNECT {
		_ = p.Decode(raw) // it may well be wrong
		if p.Version >= mqtt.V31 && p.Version <= mqtt.V5 {
			c.version = p.Version
		}
	}
}

// encode makes the packet that a line describes.
func (p *player) encode(c *peer, text string) ([]byte, error) {
	if digits, ok := strings.CutPrefix(text, "raw "); ok {
		raw, err := rawBytes(digits)
		c.noteVersion(raw)
		return raw, err
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
			Topic: []byte(long(f["topic"])), Payload: []byte(payload), QoS: mqtt.QoS(number("qos")), PacketID: pid,
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
			if at < 0 {
				return nil, errors.New("a filter without QoS")
			}
			sub, subErr := subscription(long(filter[:at]), filter[at+1:])
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
	if bound, ok := p.vars[f["client_id"]]; ok {
		f["client_id"] = bound
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
		SessionExpiry:   uint32(number("session_expiry")),
		ReceiveMaximum:  uint16(number("receive_maximum")),
		MaxPacketSize:   uint32(number("max_packet_size")),
		TopicAliasMax:   uint16(number("topic_alias_maximum")),
		RequestProblem:  f["request_problem"] != "0",
		RequestResponse: f["request_response"] == "1",
		AuthMethod:      f["auth_method"],
	}
	if c.version >= mqtt.V5 {
		connect.CleanStart = f["clean_start"] != "0"
	}
	return connect.Append(nil)
}
