package bridges_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

type link struct {
	Baud   int    `json:"baud"`
	Format string `json:"format"`
}

type point struct {
	ID       string        `json:"id"`
	Interval time.Duration `json:"interval"`
	Bit      *uint8        `json:"bit"`
}

func (p *point) SetDefaults() { p.Interval = time.Second }

type order string

func (o *order) UnmarshalText(text []byte) error {
	if string(text) != "ABCD" {
		return errors.New("must be ABCD")
	}
	*o = order(text)
	return nil
}

type secret struct{ File string }

func (s *secret) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return nil
	}
	var form struct {
		File string `json:"file"`
	}
	err := bridges.Decode(data, &form)
	s.File = form.File
	return err
}

type settings struct {
	bridges.Header
	Link     link             `json:"link"`
	Timeout  time.Duration    `json:"timeout"`
	Unit     uint8            `json:"unit"`
	Small    int8             `json:"small"`
	Big      int64            `json:"big"`
	Huge     uint64           `json:"huge"`
	Scale    float64          `json:"scale"`
	Narrow   float32          `json:"narrow"`
	Points   []point          `json:"points"`
	Enum     map[int64]string `json:"enum"`
	Labels   map[string]link  `json:"labels"`
	Order    order            `json:"order"`
	Address  netip.Addr       `json:"address"`
	Password *secret          `json:"password"`
	Raw      json.RawMessage  `json:"raw"`
	Any      any              `json:"any"`
	Secure   bool             `json:"secure"`
	Optional *link            `json:"optional"`
	Ignored  int              `json:"-"`
}

func TestDecode_ReadsEveryType(t *testing.T) {
	s := settings{Timeout: time.Minute, Small: 7}
	require.NoError(t, bridges.Decode(json.RawMessage(`{
		"id": "a", "kind": "modbus", "enabled": false,
		"link": {"baud": 9600, "format": "8N1"},
		"timeout": null, "unit": 247.0, "small": -128, "big": -9223372036854775808, "huge": 18446744073709551615,
		"scale": 1e-2, "narrow": 0.5, "points": [{"id": "p", "bit": 3}, {"id": "q", "interval": "500ms"}],
		"enum": {"0": "off", "-1": "on"}, "labels": {"x/y": {"baud": 1e3}}, "order": "ABCD", "address": "10.0.0.1",
		"password": {"file": "/p"}, "raw": [1, {"a": 2 }], "any": {"n": 12345678901234567890, "l": [true, null, "\u00e4"]},
		"secure": true, "optional": {"baud": 1}
	}`), &s))
	three := uint8(3)
	off := false
	require.Equal(t, settings{
		Header: bridges.Header{ID: "a", Kind: "modbus", Enabled: &off},
		Link:   link{9600, "8N1"}, Timeout: time.Minute, Unit: 247, Small: -128, Big: -1 << 63, Huge: 1<<64 - 1,
		Scale: 0.01, Narrow: 0.5, Points: []point{{"p", time.Second, &three}, {"q", 500 * time.Millisecond, nil}},
		Enum: map[int64]string{0: "off", -1: "on"}, Labels: map[string]link{"x/y": {Baud: 1000}}, Order: "ABCD",
		Address: netip.MustParseAddr("10.0.0.1"), Password: &secret{"/p"}, Raw: json.RawMessage(`[1, {"a": 2 }]`),
		Any:    map[string]any{"n": json.Number("12345678901234567890"), "l": []any{true, nil, "ä"}},
		Secure: true, Optional: &link{Baud: 1},
	}, s)
}

func TestDecode_NamesTheFault(t *testing.T) {
	for _, c := range []struct{ name, in, field, message string }{
		{"near key", `{"tiemout":"1s"}`, "/tiemout", `there is no such key; did you mean "timeout"?`},
		{"near key below", `{"link":{"buad":1}}`, "/link/buad", `there is no such key; did you mean "baud"?`},
		{"wrong case", `{"Unit":1}`, "/Unit", `there is no such key; did you mean "unit"?`},
		{"far key", `{"link":{"zzzzz":1}}`, "/link/zzzzz", `there is no such key; known are baud, format`},
		{"key with slash", `{"link":{"a/b~c":1}}`, "/link/a~1b~0c", `there is no such key; known are baud, format`},
		{"untagged and hidden", `{"hidden":1}`, "/hidden", "there is no such key"},
		{"ignored", `{"Ignored":1}`, "/Ignored", "there is no such key"},
		{"text for number", `{"unit":"1"}`, "/unit", "must be a whole number, not text"},
		{"number for text", `{"link":{"format":8}}`, "/link/format", "must be text (put it in quotes), not a number"},
		{"bool for text", `{"id":true}`, "/id", "must be text (put it in quotes), not true or false"},
		{"object for text", `{"id":{}}`, "/id", "must be text, not an object"},
		{"text for bool", `{"secure":"yes"}`, "/secure", "must be true or false, not text"},
		{"list for object", `{"link":[]}`, "/link", "must be an object, not a list"},
		{"object for list", `{"points":{}}`, "/points", "must be a list, not an object"},
		{"fraction", `{"unit":1.5}`, "/unit", "must be a whole number, without a fraction"},
		{"too large", `{"unit":256}`, "/unit", "must be 0 to 255"},
		{"negative", `{"unit":-1}`, "/unit", "must be 0 to 255"},
		{"too small", `{"small":-129}`, "/small", "must be -128 to 127"},
		{"int64 passed by one", `{"big":9223372036854775808}`, "/big", "must be -9223372036854775808 to 9223372036854775807"},
		{"uint64 passed by one", `{"huge":18446744073709551616}`, "/huge", "must be 0 to 18446744073709551615"},
		{"huge exponent", `{"big":1e999999999999999999999}`, "/big", "must be -9223372036854775808"},
		{"tiny exponent", `{"big":1e-999999999999999999999}`, "/big", "must be a whole number"},
		{"float too large", `{"scale":1e999}`, "/scale", "is too large a number"},
		{"float32 too large", `{"narrow":1e39}`, "/narrow", "is too large a number"},
		{"duration without unit", `{"timeout":5}`, "/timeout", `must be a time with its unit, such as "500ms", "10s", "1m" or "24h", not a number`},
		{"duration in words", `{"timeout":"5 seconds"}`, "/timeout", "must be a time with its unit"},
		{"list element", `{"points":[{"id":"a"},{"id":1}]}`, "/points/1/id", "must be text"},
		{"null element", `{"points":[null]}`, "/points/0", "must not be null"},
		{"map key", `{"enum":{"x":"off"}}`, "/enum/x", "the key must be a number"},
		{"map value", `{"enum":{"1":2}}`, "/enum/1", "must be text"},
		{"duplicate", `{"unit":1,"unit":2}`, "/unit", "stands there twice"},
		{"duplicate in map", `{"enum":{"1":"a","1":"b"}}`, "/enum/1", "stands there twice"},
		{"text unmarshaler", `{"order":"XY"}`, "/order", "must be ABCD"},
		{"text unmarshaler with number", `{"order":1}`, "/order", "must be text (put it in quotes), not a number"},
		{"json unmarshaler", `{"password":{"fiel":"x"}}`, "/password/fiel", `did you mean "file"?`},
		{"syntax", "{\n \"unit\": 1,\n}", "", "no valid JSON at line 3, column 1"},
		{"empty", " ", "", "the settings are empty"},
		{"no object", `[1]`, "", "must be an object, not a list"},
		{"null", `null`, "", "must be an object, not null"},
		{"too deep", `{"any":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "", "nested deeper than"},
		{"too long", `{"id":"` + strings.Repeat("a", bridges.MaxSettingsSize) + `"}`, "", "at most 4194304 are allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s settings
			faults := fault.All(bridges.Decode(json.RawMessage(c.in), &s))
			require.Len(t, faults, 1)
			require.Equal(t, c.field, faults[0].Field)
			require.Contains(t, faults[0].Message, c.message)
		})
	}
}

func TestDecode_GathersAllFaultsInTheirOrder(t *testing.T) {
	s := settings{Unit: 1}
	err := bridges.Decode(json.RawMessage(`{"points":[{"bit":300},{"idd":1}],"unit":"x","id":"ok","timeout":1}`), &s)
	var fields []string
	for _, f := range fault.All(err) {
		fields = append(fields, f.Field)
	}
	require.Equal(t, []string{"/points/0/bit", "/points/1/idd", "/unit", "/timeout"}, fields)
	require.Equal(t, "ok", s.ID)
	require.Equal(t, uint8(1), s.Unit)
}

func TestDecode_LimitsTheFaults(t *testing.T) {
	var s settings
	err := bridges.Decode(json.RawMessage(`{"points":[`+strings.Repeat("1,", 5000)+`1]}`), &s)
	require.Len(t, fault.All(err), 101)
	require.Contains(t, err.Error(), "only the first 100 are shown")
}

func TestFaults_AddsNothingWhereOneStands(t *testing.T) {
	var s settings
	var f bridges.Faults
	f.Decode(json.RawMessage(`{"id":5,"link":{"baud":"x"}}`), &s)
	f.CheckID("/id", s.ID)
	f.Add("/link", fault.Required, "is needed")
	f.OneOf("/link/format", "8N3", "8N1", "7E1")
	bridges.CheckRange(&f, "/unit", int(s.Unit), 1, 247)
	f.CheckTopic("/topic", "a/+")
	require.EqualError(t, f.Err(), `/id: must be text (put it in quotes), not a number; `+
		`/link/baud: must be a whole number, not text; `+
		`/link/format: must be one of 8N1, 7E1; did you mean "8N1"?; /unit: must be 1 to 247; `+
		`/topic: must not contain the wildcards + and #`)
}

func TestNewConfig_ReadsTheCommonKeys(t *testing.T) {
	c, err := bridges.NewConfig(json.RawMessage(`{"id":"a","kind":"line","enabled":false,"link":{}}`), "")
	require.NoError(t, err)
	require.Equal(t, bridges.Config{ID: "a", Kind: "line", Disabled: true, Settings: json.RawMessage(`{"id":"a","kind":"line","enabled":false,"link":{}}`)}, c)

	c, err = bridges.NewConfig(json.RawMessage(`{"id":"cloud","url":"mqtt://x"}`), "uplink")
	require.NoError(t, err)
	require.Equal(t, "uplink", c.Kind)

	_, err = bridges.NewConfig(json.RawMessage(`{"id":"Cloud","enabled":"no"}`), "")
	require.EqualError(t, err, "/enabled: must be true or false, not text; /id: must be 1 to 64 of a-z, 0-9, - _ . that begin with a letter or digit; /kind: is needed")
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "0-a_b.c": true, "": false, "-a": false, "A": false, "a b": false, "a/b": false, "ä": false, "$x": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
	} {
		require.Equal(t, want, bridges.ValidID(id), id)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"a","points":[{"bit":3}],"enum":{"1":"x"},"any":{"a":[1,null]},"raw":1}`))
	f.Add([]byte(`{"unit":1e2,"timeout":"5s","big":-0.0}`))
	f.Add([]byte("{\"id\":\"\\ud800\\\"\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var strict, std settings
		err := bridges.Decode(data, &strict)
		if err != nil {
			for _, e := range fault.All(err) {
				require.NotEmpty(t, e.Message)
			}
			return
		}
		require.True(t, json.Valid(data))
		// What Decode takes and encoding/json takes too is read alike.
		if json.Unmarshal(data, &std) == nil && len(strict.Points) == 0 && strict.Any == nil {
			std.Raw, strict.Raw, std.Any = nil, nil, nil
			require.Equal(t, std, strict)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data := json.RawMessage(`{"id":"cabinet","kind":"modbus","link":{"baud":9600,"format":"8N1"},"timeout":"500ms","points":[` +
		strings.Repeat(`{"id":"power","interval":"1s","bit":3},`, 99) + `{"id":"x"}]}`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var s settings
		if err := bridges.Decode(data, &s); err != nil {
			b.Fatal(err)
		}
	}
}
