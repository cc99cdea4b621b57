package bridges

import (
	"strings"

	"fieldgate/broker/mqtt"
)

// AnswerTo makes the message, still without a payload, that tells what became of a command: to the
// usual topic, or where an MQTT 5.0 request wants it, with its correlation data [v5 4.10]. A
// response topic is not followed where the answer would be a command itself or the broker's own, nor where
// who asked may not publish: the gateway must not write for somebody what he could not write himself.
func AnswerTo(request *mqtt.Message, usual string) *mqtt.Message {
	answer := &mqtt.Message{Topic: usual, QoS: mqtt.AtLeastOnce}
	if wanted := request.Props.ResponseTopic(); mayAnswer(wanted) && !request.Unanswered {
		answer.Topic = wanted
	}
	if data := request.Props.CorrelationData(); data != nil {
		answer.Props = answer.Props.AppendCorrelationData(data)
	}
	return answer
}

func mayAnswer(topic string) bool {
	return topic != "" && mqtt.CheckName(topic) == nil && !strings.HasPrefix(topic, "$") && !strings.HasSuffix(topic, "/set")
}
