package broker_test

import (
	"fmt"
	"strconv"
	"strings"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// Fields of 5.0 in scripts:
//
//	CONNECT clean_start session_expiry receive_maximum max_packet_size topic_alias_maximum
//	        request_problem auth_method will_delay will_expiry will_props
//	CONNACK reason and its properties; receive_maximum, max_packet_size and
//	        topic_alias_maximum only where they are not those of the default configuration
//	PUBLISH alias expiry ids props="content_type=x,user=a:b,user=a:c,text=1" in their order
//	reason  as 0x8E; reason_string is compared only where it stands in the script

func reason(r mqtt.ReasonCode) string {
	if r == mqtt.Success {
		return ""
	}
	return fmt.Sprintf("0x%02X", byte(r))
}

func codes(reasons []mqtt.ReasonCode) string {
	var list []string
	for _, r := range reasons {
		list = append(list, strconv.Itoa(int(r)))
	}
	return strings.Join(list, ",")
}

// unless gives the number, or nothing when it is the usual one.
func unless(usual, n int) string {
	if n == usual {
		return ""
	}
	return strconv.Itoa(n)
}

func renderConnack(f fields, p *packet.Connack) {
	usual := broker.DefaultConfig()
	f["reason"], f["reason_string"] = reason(p.Reason), p.ReasonString
	f["assigned_client_id"] = p.AssignedClientID
	if p.SessionExpiry != nil {
		f["session_expiry"] = strconv.Itoa(int(*p.SessionExpiry))
	}
	if p.MaxQoS != nil {
		f["max_qos"] = "QoS" + strconv.Itoa(int(*p.MaxQoS))
	}
	if p.RetainAvailable != nil {
		f["retain_available"] = strconv.FormatBool(*p.RetainAvailable)
	}
	if p.ServerKeepAlive != nil { // 65535 is mosquitto's way to say that it has no limit
		f["server_keep_alive"] = unless(65535, int(*p.ServerKeepAlive))
	}
	if !p.Reason.Failed() {
		f["receive_maximum"] = unless(usual.MaxInflight, int(p.ReceiveMaximum))
		f["max_packet_size"] = unless(usual.MaxPacketSize, int(p.MaxPacketSize))
		f["topic_alias_maximum"] = unless(usual.MaxTopicAlias, int(p.TopicAliasMax))
	}
}

func renderPublish(f fields, p *packet.Publish) {
	f["alias"] = unless(0, int(p.TopicAlias))
	if p.HasExpiry {
		f["expiry"] = strconv.Itoa(int(p.Expiry))
	}
	var ids, props []string
	for _, id := range p.SubscriptionIDs {
		ids = append(ids, strconv.Itoa(int(id)))
	}
	f["ids"] = strings.Join(ids, ",")
	for one := range p.Props.All() {
		switch one.ID {
		case mqtt.PayloadFormat:
			props = append(props, fmt.Sprintf("text=%d", one.Value[0]))
		case mqtt.UserProperty:
			props = append(props, fmt.Sprintf("user=%s:%s", one.Name, one.Value))
		default:
			props = append(props, fmt.Sprintf("%s=%s", propertyNames[one.ID], one.Value))
		}
	}
	f["props"] = strings.Join(props, ",")
}

var propertyNames = map[mqtt.PropertyID]string{
	mqtt.ContentType: "content_type", mqtt.ResponseTopic: "response_topic", mqtt.CorrelationData: "correlation_data",
}

// properties makes the properties of a message from their words, in their order.
func properties(words string) (p mqtt.Properties) {
	for _, word := range strings.Split(words, ",") {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "text":
			p = p.AppendPayloadFormat(value == "1")
		case "user":
			name, text, _ := strings.Cut(value, ":")
			p = p.AppendUser(name, text)
		case "content_type":
			p = p.AppendContentType(value)
		case "response_topic":
			p = p.AppendResponseTopic(value)
		case "correlation_data":
			p = p.AppendCorrelationData([]byte(value))
		}
	}
	return p
}

// subscription makes a subscription from its filter and its options: 1+nl+rap+rh2.
func subscription(filter, options string) (mqtt.Subscription, error) {
	sub := mqtt.Subscription{Filter: filter}
	for i, option := range strings.Split(options, "+") {
		switch {
		case i == 0:
			qos, err := strconv.Atoi(option)
			if err != nil {
				return sub, err
			}
			sub.QoS = mqtt.QoS(qos)
		case option == "nl":
			sub.NoLocal = true
		case option == "rap":
			sub.RetainAsPublished = true
		case strings.HasPrefix(option, "rh"):
			sub.RetainHandling = option[2] - '0'
		default:
			return sub, fmt.Errorf("unknown subscription option %q", option)
		}
	}
	return sub, nil
}
