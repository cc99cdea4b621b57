package bridges_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

func TestAnswerTo(t *testing.T) {
	const usual = "fieldgate/d/p/result"
	for _, tt := range []struct {
		name, wanted string
		unanswered   bool
		want         string
	}{
		{"no response topic", "", false, usual},
		{"one that the client may write", "panel/answers", false, "panel/answers"},
		{"one that it may not write", "fieldgate/main/power", true, usual},
		{"a command", "fieldgate/d/q/set", false, usual},
		{"the broker's own", "$SYS/broker/version", false, usual},
		{"no topic name", "panel/#", false, usual},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &mqtt.Message{Unanswered: tt.unanswered}
			if tt.wanted != "" {
				m.Props = m.Props.AppendResponseTopic(tt.wanted)
			}
			m.Props = m.Props.AppendCorrelationData([]byte{7})
			answer := bridges.AnswerTo(m, usual)
			require.Equal(t, tt.want, answer.Topic)
			require.Equal(t, []byte{7}, answer.Props.CorrelationData())
		})
	}
}
