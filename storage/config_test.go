package storage_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/internal/fault"
	"fieldgate/storage"
)

func TestConfig_ValidateNamesTheField(t *testing.T) {
	require.NoError(t, storage.Default().Validate())
	for _, c := range []struct {
		name    string
		change  func(*storage.Config)
		pointer string
		code    fault.Code
	}{
		{"no directory", func(c *storage.Config) { c.DataDir = "" }, "/data_dir", fault.Required},
		{"unknown durability", func(c *storage.Config) { c.Spool.Durability = "none" }, "/spool/durability", fault.Invalid},
		{"negative window", func(c *storage.Config) { c.Spool.AckWindow = -1 }, "/spool/ack_window", fault.OutOfRange},
		{"long window", func(c *storage.Config) { c.Spool.BridgeWindow = time.Minute }, "/spool/bridge_window", fault.OutOfRange},
		{"windows crossed", func(c *storage.Config) { c.Spool.AckWindow = time.Second }, "/spool/ack_window_max", fault.OutOfRange},
		{"negative size", func(c *storage.Config) { c.Spool.MinFreeDisk = -1 }, "/spool/min_free_disk", fault.OutOfRange},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := storage.Default()
			c.change(&cfg)
			list := fault.All(cfg.Validate())
			require.Len(t, list, 1)
			require.Equal(t, c.pointer, list[0].Field)
			require.Equal(t, c.code, list[0].Code)
		})
	}
}

func TestBytes_ReadsAndWritesSizes(t *testing.T) {
	for _, c := range []struct {
		text string
		want storage.Bytes // -1 for a fault
		back string
	}{
		{"200MiB", 200 << 20, "200MiB"},
		{"4GiB", 4 << 30, "4GiB"},
		{"1048576", 1 << 20, "1MiB"},
		{"1 KB", 1000, "1000"},
		{" 7B ", 7, "7"},
		{"0", 0, "0"},
		{"8388607TiB", 8388607 << 40, "8388607TiB"},
		{"8388608TiB", -1, ""},
		{"-1", -1, ""},
		{"", -1, ""},
		{"MiB", -1, ""},
		{"1.5GiB", -1, ""},
		{"1 parsec", -1, ""},
	} {
		t.Run(c.text, func(t *testing.T) {
			var got storage.Bytes
			err := got.UnmarshalText([]byte(c.text))
			if c.want < 0 {
				require.Equal(t, fault.Invalid, fault.CodeOf(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, c.back, got.String())
		})
	}
}

func TestConfig_HasTheNamesOfTheHostFile(t *testing.T) {
	raw, err := json.Marshal(storage.Default())
	require.NoError(t, err)
	require.JSONEq(t, `{"data_dir":"./fieldgate-data","spool":{"durability":"power_safe","ack_window":20000000,
		"ack_window_max":200000000,"bridge_window":1000000000,"min_free_disk":"200MiB"}}`, string(raw))
}

func FuzzBytes(f *testing.F) {
	for _, seed := range []string{"200MiB", "1", "1 kB", "x", "-9B"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b, again storage.Bytes
		if b.UnmarshalText([]byte(text)) != nil {
			return
		}
		require.GreaterOrEqual(t, b, storage.Bytes(0))
		require.NoError(t, again.UnmarshalText([]byte(b.String())))
		require.Equal(t, b, again)
	})
}
