package bridges_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/broker/mqtt"
)

func TestAnswerTo(t *testing.T) {
	const usual = "fieldgate/d/p/result"
	bus := &bridgestest.Bus{OnMayPublish: func(clientID, topic string) bool { return clientID == "panel" && topic != "fieldgate/main/power" }}
	for _, tt := range []struct {
		name, origin, wanted, want string
	}{
		{"no response topic", "panel", "", usual},
		{"one that the client may write", "panel", "panel/answers", "panel/answers"},
		{"one that it may not write", "panel", "fieldgate/main/power", usual},
		{"a client without rights", "stranger", "panel/answers", usual},
		{"a command", "panel", "fieldgate/d/q/set", usual},
		{"the broker's own", "panel", "$SYS/broker/version", usual},
		{"no topic name", "panel", "panel/#", usual},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &mqtt.Message{Origin: tt.origin}
			if tt.wanted != "" {
				m.Props = m.Props.AppendResponseTopic(tt.wanted)
			}
			m.Props = m.Props.AppendCorrelationData([]byte{7})
			answer := bridges.AnswerTo(bus, m, usual)
			require.Equal(t, tt.want, answer.Topic)
			require.Equal(t, []byte{7}, answer.Props.CorrelationData())
		})
	}
}
