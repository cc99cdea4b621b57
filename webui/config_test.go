package webui_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/internal/fault"
	"fieldgate/webui"
)

func TestConfig_Validate(t *testing.T) {
	for name, row := range map[string]struct {
		text  string
		wrong []string
	}{
		"nothing":         {`{}`, nil},
		"all addresses":   {`{"address":":8080","tls":"auto","hosts":["gw.example.com"]}`, nil},
		"IPv6":            {`{"address":"[::1]:0"}`, nil},
		"two files":       {`{"tls":{"cert_file":"c","key_file":"k"}}`, nil},
		"no port":         {`{"address":"localhost"}`, []string{"/address"}},
		"port too large":  {`{"address":":65536"}`, []string{"/address"}},
		"empty":           {`{"address":""}`, []string{"/address"}},
		"all at once":     {`{"address":"x","tls":{},"hosts":["a:1","b"]}`, []string{"/address", "/tls/cert_file", "/tls/key_file", "/hosts/0"}},
		"one file":        {`{"tls":{"cert_file":"c"}}`, []string{"/tls/key_file"}},
		"off":             {`{"tls":"off"}`, nil},
		"off as YAML 1.1": {`{"tls":false}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := webui.DefaultConfig()
			require.NoError(t, json.Unmarshal([]byte(row.text), &cfg))
			var got []string
			for _, f := range fault.All(cfg.Validate()) {
				got = append(got, f.Field)
			}
			require.Equal(t, row.wrong, got)
		})
	}
}

func TestConfig_TLSWordsThatAreNone(t *testing.T) {
	for _, text := range []string{`"on"`, `7`, `true`, `{"cert":"c"}`, `[]`, `null`} {
		var c webui.TLSConfig
		require.Error(t, c.UnmarshalJSON([]byte(text)), text)
	}
	for _, text := range []string{`"off"`, `"auto"`, `{"cert_file":"c","key_file":"k"}`} {
		var c webui.TLSConfig
		require.NoError(t, json.Unmarshal([]byte(text), &c))
		again, err := json.Marshal(c)
		require.NoError(t, err)
		require.JSONEq(t, text, string(again))
	}
}
