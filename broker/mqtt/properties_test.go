package mqtt_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
)

func TestProperties_GiveBackWhatWasAppended(t *testing.T) {
	p := mqtt.Properties(nil).AppendUser("a", "1").AppendPayloadFormat(true).AppendContentType("text/plain").
		AppendResponseTopic("x/result").AppendCorrelationData([]byte{0, 9}).AppendUser("b", "2").AppendUser("b", "3")
	require.True(t, p.IsText())
	require.Equal(t, "text/plain", p.ContentType())
	require.Equal(t, "x/result", p.ResponseTopic())
	require.Equal(t, []byte{0, 9}, p.CorrelationData())
	var user []string
	for name, value := range p.User() {
		user = append(user, name+"="+value)
	}
	require.Equal(t, []string{"a=1", "b=2", "b=3"}, user)
	var ids []mqtt.PropertyID
	for one := range p.All() {
		ids = append(ids, one.ID)
	}
	require.Equal(t, []mqtt.PropertyID{mqtt.UserProperty, mqtt.PayloadFormat, mqtt.ContentType, mqtt.ResponseTopic, mqtt.CorrelationData,
		mqtt.UserProperty, mqtt.UserProperty}, ids)
}

func TestProperties_AreEmptyWithoutAny(t *testing.T) {
	var p mqtt.Properties
	require.False(t, p.IsText())
	require.Empty(t, p.ContentType())
	require.Empty(t, p.ResponseTopic())
	require.Nil(t, p.CorrelationData())
	require.Empty(t, maps.Collect(p.User()))
	require.False(t, mqtt.Properties(nil).AppendPayloadFormat(false).IsText())
}

func TestProperties_CutAtTheLongestString(t *testing.T) {
	p := mqtt.Properties(nil).AppendContentType(strings.Repeat("x", 70000)).AppendUser("k", "v")
	require.Len(t, p.ContentType(), 65535)
	require.Equal(t, map[string]string{"k": "v"}, maps.Collect(p.User()))
}

// FuzzProperties: any bytes give properties that, written again, are the bytes up to the first fault.
func FuzzProperties(f *testing.F) {
	f.Add([]byte(mqtt.Properties(nil).AppendUser("a", "1").AppendPayloadFormat(true).AppendCorrelationData([]byte{1})))
	f.Add([]byte{1})
	f.Add([]byte{0x26, 0, 1, 'a', 0, 9})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var again mqtt.Properties
		for one := range mqtt.Properties(raw).All() {
			switch one.ID {
			case mqtt.PayloadFormat:
				again = append(again, byte(mqtt.PayloadFormat), one.Value[0])
			case mqtt.ContentType:
				again = again.AppendContentType(string(one.Value))
			case mqtt.ResponseTopic:
				again = again.AppendResponseTopic(string(one.Value))
			case mqtt.CorrelationData:
				again = again.AppendCorrelationData(one.Value)
			case mqtt.UserProperty:
				again = again.AppendUser(string(one.Name), string(one.Value))
			default:
				t.Fatalf("property 0x%02X", one.ID)
			}
		}
		require.True(t, len(again) <= len(raw) && slices.Equal([]byte(again), raw[:len(again)]))
	})
}
