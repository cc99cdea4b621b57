package bridges_test

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

func TestValue_WritesJSON(t *testing.T) {
	for _, c := range []struct {
		name string
		in   bridges.Value
		want string
	}{
		{"none", bridges.Value{}, "null"},
		{"true", bridges.Bool(true), "true"},
		{"false", bridges.Bool(false), "false"},
		{"lowest int", bridges.Int(math.MinInt64), "-9223372036854775808"},
		{"highest uint", bridges.Uint(math.MaxUint64), "18446744073709551615"},
		{"float", bridges.Float(230.1), "230.1"},
		{"whole float", bridges.Float(1e20), "100000000000000000000"},
		{"small float", bridges.Float(0.000000015), "0.000000015"},
		{"huge float", bridges.Float(1e21), "1e+21"},
		{"negative zero", bridges.Float(math.Copysign(0, -1)), "0"},
		{"not a number", bridges.Float(math.NaN()), "null"},
		{"infinite", bridges.Float32(float32(math.Inf(-1))), "null"},
		{"single precision", bridges.Float32(230.1), "230.1"},
		{"rounded", bridges.Float(21.500000000000004).Rounded(2), "21.5"},
		{"rounded single", bridges.Float32(0.30000001).Rounded(1), "0.3"},
		{"rounded to zero", bridges.Float(-0.001).Rounded(2), "0"},
		{"rounded integer", bridges.Int(1234).Rounded(0), "1234"},
		{"text", bridges.Text("a\"b\\c\n\x01\xff°"), `"a\"b\\c\n\u0001` + "\ufffd" + `°"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(c.in)
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
		})
	}
}

func TestValue_NumberAndString(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     bridges.Value
		number float64
		ok     bool
		text   string
	}{
		{"none", bridges.Value{}, 0, false, ""},
		{"bool", bridges.Bool(true), 1, true, "true"},
		{"int", bridges.Int(-5), -5, true, "-5"},
		{"uint", bridges.Uint(1 << 63), 1 << 63, true, "9223372036854775808"},
		{"float", bridges.Float(0.5), 0.5, true, "0.5"},
		{"single", bridges.Float32(0.1), float64(float32(0.1)), true, "0.1"},
		{"text", bridges.Text("a b"), 0, false, "a b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, ok := c.in.Number()
			require.Equal(t, c.number, f)
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.text, c.in.String())
		})
	}
}

func TestValue_GivesExactIntegers(t *testing.T) {
	for _, c := range []struct {
		name        string
		in          bridges.Value
		signed, uns bool
	}{
		{"negative", bridges.Int(-1), true, false},
		{"small", bridges.Uint(1), true, true},
		{"above int64", bridges.Uint(1 << 63), false, true},
		{"float", bridges.Float(1), false, false},
		{"none", bridges.Value{}, false, false},
	} {
		_, signed := c.in.Int64()
		_, unsigned := c.in.Uint64()
		require.Equal(t, c.signed, signed, c.name)
		require.Equal(t, c.uns, unsigned, c.name)
	}
	b, ok := bridges.Bool(true).AsBool()
	require.True(t, b && ok)
	_, ok = bridges.Int(1).AsBool()
	require.False(t, ok)
}

func TestValue_UnmarshalJSON(t *testing.T) {
	var s struct {
		V bridges.Value `json:"v"`
	}
	require.NoError(t, bridges.Decode(json.RawMessage(`{"v":9007199254740993}`), &s))
	require.Equal(t, bridges.Int(9007199254740993), s.V)
	require.EqualError(t, bridges.Decode(json.RawMessage(`{"v":[]}`), &s), "/v: must be a number, true, false or text, not a list")
}

func TestValue_Equal(t *testing.T) {
	same := func(a, b bridges.Value, want bool) {
		t.Helper()
		require.Equal(t, want, a.Equal(b))
		require.Equal(t, want, b.Equal(a))
	}
	same(bridges.Int(5), bridges.Uint(5), true)
	same(bridges.Int(-1), bridges.Uint(math.MaxUint64), false)
	same(bridges.Int(5), bridges.Float(5), true)
	same(bridges.Int(math.MaxInt64), bridges.Float(1<<63), false)
	same(bridges.Uint(math.MaxUint64), bridges.Float(1<<64), false)
	same(bridges.Uint(1<<63), bridges.Float(1<<63), true)
	same(bridges.Float(0.5), bridges.Float32(0.5), true)
	same(bridges.Float(0), bridges.Float(math.Copysign(0, -1)), true)
	same(bridges.Bool(true), bridges.Int(1), false)
	same(bridges.Text("a"), bridges.Text("a"), true)
	same(bridges.Value{}, bridges.Text(""), false)
	same(bridges.Value{}, bridges.Value{}, true)
}

func TestParseValue(t *testing.T) {
	for _, c := range []struct {
		in   string
		want bridges.Value
		err  string
	}{
		{"null", bridges.Value{}, ""},
		{" true ", bridges.Bool(true), ""},
		{"-9223372036854775808", bridges.Int(math.MinInt64), ""},
		{"18446744073709551615", bridges.Uint(math.MaxUint64), ""},
		{"21.50", bridges.Float(21.5), ""},
		{`"\u00b0C"`, bridges.Text("°C"), ""},
		{"{}", bridges.Value{}, "must be a number, true, false or text, not an object"},
		{"1e999", bridges.Value{}, "is too large a number"},
		{"1 2", bridges.Value{}, "no valid JSON at line 1, column 3"},
		{"", bridges.Value{}, "empty"},
	} {
		t.Run(c.in, func(t *testing.T) {
			got, err := bridges.ParseValue([]byte(c.in))
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func FuzzValue(f *testing.F) {
	f.Add(uint64(0x3fb999999999999a), "a\x00\xffb")
	f.Fuzz(func(t *testing.T, bits uint64, text string) {
		for _, v := range []bridges.Value{
			bridges.Int(int64(bits)), bridges.Uint(bits), bridges.Float(math.Float64frombits(bits)),
			bridges.Float32(math.Float32frombits(uint32(bits))), bridges.Text(text),
		} {
			b := v.AppendJSON(nil)
			require.True(t, json.Valid(b), "%q", b)
			back, err := bridges.ParseValue(b)
			require.NoError(t, err)
			require.Equal(t, string(b), string(back.AppendJSON(nil)), "written, read and written again is the same")
			if s, isText := v.AsText(); isText {
				std, err := json.Marshal(s)
				require.NoError(t, err)
				var a, b2 string
				require.NoError(t, json.Unmarshal(std, &a))
				require.NoError(t, json.Unmarshal(b, &b2))
				require.Equal(t, a, b2)
			}
		}
		want := math.Float64frombits(bits)
		if f, ok := bridges.Float(want).Number(); ok {
			got, err := strconv.ParseFloat(bridges.Float(want).String(), 64)
			require.NoError(t, err)
			require.Equal(t, f, got)
		}
	})
}

func TestReading_AppendPayload(t *testing.T) {
	at := time.Date(2026, 11, 22, 11, 0, 0, 47_900_000, time.FixedZone("CET", 3600))
	for _, c := range []struct {
		name string
		in   bridges.Reading
		want string
	}{
		{"good", bridges.Reading{Value: bridges.Float(230.1), Unit: "V", Quality: bridges.Good, Time: at},
			`{"value":230.1,"unit":"V","quality":"good","time":"2026-11-22T10:00:00.047Z"}`},
		{"without unit", bridges.Reading{Value: bridges.Bool(true), Quality: bridges.Good, Time: at},
			`{"value":true,"quality":"good","time":"2026-11-22T10:00:00.047Z"}`},
		{"bad never has a value", bridges.Reading{Value: bridges.Int(5), Unit: "°C", Quality: bridges.Bad, Error: "timeout", Time: at},
			`{"value":null,"unit":"°C","quality":"bad","time":"2026-11-22T10:00:00.047Z","error":"timeout"}`},
		{"never read", bridges.Reading{Quality: bridges.Bad, Error: "no_value_yet"}, `{"value":null,"quality":"bad","time":null,"error":"no_value_yet"}`},
		{"plain", bridges.Reading{Plain: true, Value: bridges.Uint(7), Unit: "V", Quality: bridges.Good, Time: at}, `7`},
		{"plain text", bridges.Reading{Plain: true, Value: bridges.Text("on"), Quality: bridges.Stale}, `on`},
		{"plain bad", bridges.Reading{Plain: true, Value: bridges.Uint(7), Quality: bridges.Bad, Error: "timeout"}, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, string(c.in.AppendPayload(nil)))
		})
	}
}

func TestReading_AppendPayloadDoesNotAllocate(t *testing.T) {
	r := bridges.Reading{Value: bridges.Float(230.1), Unit: "V", Quality: bridges.Good, Time: time.Now()}
	room := make([]byte, 0, 200)
	require.Zero(t, testing.AllocsPerRun(100, func() { room = r.AppendPayload(room[:0]) }))
}

func TestWriteResult_JSON(t *testing.T) {
	done := bridges.WriteResult{OK: true, Value: bridges.Float(21.5), Took: 38 * time.Millisecond}
	require.Equal(t, `{"id":"x7","ok":true,"value":21.5,"ms":38}`, string(done.AppendJSON(nil, "x7")))
	refused := bridges.WriteResult{Code: "out_of_range", Detail: "must be -10 to 60"}
	b, err := json.Marshal(refused)
	require.NoError(t, err)
	require.Equal(t, `{"ok":false,"code":"out_of_range","detail":"must be -10 to 60"}`, string(b))
}

func TestParseCommand(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     bridges.Command
		err      string
	}{
		{"bare", " 21.5\n", bridges.Command{Value: json.RawMessage("21.5")}, ""},
		{"bare bool", "true", bridges.Command{Value: json.RawMessage("true")}, ""},
		{"object", `{"value":21.5,"id":"x7","expires":0.5}`, bridges.Command{Value: json.RawMessage("21.5"), ID: "x7", Expires: 500 * time.Millisecond}, ""},
		{"no JSON", `ON`, bridges.Command{}, "the command must be a value such as 21.5"},
		{"empty", ``, bridges.Command{}, "the command must be a value such as 21.5"},
		{"null", `null`, bridges.Command{Value: json.RawMessage("null")}, "must be a number, true, false or text, not null"},
		{"no value", `{"id":"x7"}`, bridges.Command{ID: "x7"}, "/value: is needed"},
		{"list", `{"value":[1],"id":"x7"}`, bridges.Command{Value: json.RawMessage("[1]"), ID: "x7"}, "/value: must be a number, true, false or text, not a list"},
		{"unknown key", `{"value":1,"expire":5}`, bridges.Command{Value: json.RawMessage("1")}, `/expire: there is no such key; did you mean "expires"?`},
		{"expires below", `{"value":1,"expires":-1}`, bridges.Command{Value: json.RawMessage("1"), Expires: -time.Second}, "/expires: must be 0 to 604800"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := bridges.ParseCommand([]byte(c.in))
			require.Equal(t, c.want, got)
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
}

func BenchmarkReading_AppendPayload(b *testing.B) {
	r := bridges.Reading{Value: bridges.Float32(230.1), Unit: "V", Quality: bridges.Good, Time: time.Now()}
	room := make([]byte, 0, 200)
	b.ReportAllocs()
	for b.Loop() {
		room = r.AppendPayload(room[:0])
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte(`21.5`))
	f.Add([]byte(`{"value":21.5,"id":"x7","expires":5}`))
	f.Add([]byte(`{"value":{"a":1},"id":3}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := bridges.ParseCommand(payload)
		require.LessOrEqual(t, len(c.ID), 128)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, c.Expires, time.Duration(0))
		v, err := bridges.ParseValue(c.Value)
		if err == nil { // a number may be too large
			require.False(t, v.IsNone())
		}
		result := bridges.WriteResult{OK: true, Value: v}.AppendJSON(nil, c.ID)
		require.True(t, json.Valid(result), "%s", result)
	})
}
