package uplink_test

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/uplink"
	"fieldgate/internal/fault"
)

func TestSettings_FaultsNameTheField(t *testing.T) {
	good := `"url":"mqtt://broker:1883","out":[{"filter":"fieldgate/#","qos":1}]`
	for _, c := range []struct{ name, settings, pointer string }{
		{"no url", `{"id":"a","out":[{"filter":"#"}]}`, "/url"},
		{"url of another protocol", `{"id":"a","url":"http://x","out":[{"filter":"#"}]}`, "/url"},
		{"password in the url", `{"id":"a","url":"mqtt://u:p@x","out":[{"filter":"#"}]}`, "/url"},
		{"path behind the port", `{"id":"a","url":"mqtt://x/y","out":[{"filter":"#"}]}`, "/url"},
		{"nothing to carry", `{"id":"a","url":"mqtt://x"}`, "/out"},
		{"version 3", `{"id":"a","version":3,` + good + `}`, "/version"},
		{"password without a name", `{"id":"a","password":"p",` + good + `}`, "/username"},
		{"certificate without a key", `{"id":"a","tls":{"cert_file":"c.pem"},` + good + `}`, "/tls/cert_file"},
		{"keep alive too short", `{"id":"a","keep_alive":"1s",` + good + `}`, "/keep_alive"},
		{"bad filter", `{"id":"a","url":"mqtt://x","out":[{"filter":"a/#/b"}]}`, "/out/0/filter"},
		{"prefix that the filter lacks", `{"id":"a","url":"mqtt://x","out":[{"filter":"a/#","local_prefix":"b/"}]}`, "/out/0/local_prefix"},
		{"wildcard in a prefix", `{"id":"a","url":"mqtt://x","in":[{"filter":"a/#","local_prefix":"b/+"}]}`, "/in/0/local_prefix"},
		{"QoS 2", `{"id":"a","url":"mqtt://x","in":[{"filter":"a/#","qos":2}]}`, "/in/0/qos"},
		{"queue of nothing", `{"id":"a","queue":{"max_messages":0},` + good + `}`, "/queue/max_messages"},
		{"queue of a word", `{"id":"a","queue":{"full":"explode"},` + good + `}`, "/queue/full"},
		{"unknown key", `{"id":"a","usrname":"x",` + good + `}`, "/usrname"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := uplink.Kind.New(bridges.Config{ID: "a", Settings: json.RawMessage(c.settings)}, slog.New(slog.DiscardHandler))
			require.Error(t, err)
			var fields []string
			for _, f := range fault.All(err) {
				fields = append(fields, f.Field)
			}
			require.Equal(t, []string{c.pointer}, fields, "%v", err)
		})
	}
}

func TestSettings_AllFaultsAtOnce(t *testing.T) {
	_, err := uplink.Kind.New(bridges.Config{ID: "a", Settings: json.RawMessage(
		`{"id":"a","url":"ftp://x","version":9,"out":[{"filter":"","qos":2}]}`)}, slog.New(slog.DiscardHandler))
	require.Len(t, fault.All(err), 4)
}
