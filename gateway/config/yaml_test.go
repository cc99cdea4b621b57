package config_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/gateway/config"
)

func TestFromYAML_KeepsWhatWasWritten(t *testing.T) {
	for _, tt := range []struct{ name, yaml, json string }{
		{"nothing", "", `{}`},
		{"comments alone", "# a\n# b\n", `{}`},
		{"numbers keep their digits", "a: 18446744073709551615\nb: -3\nc: 1.50\nd: 0x68\ne: 0o17\nf: 1_000", `{"a":18446744073709551615,"b":-3,"c":1.50,"d":104,"e":15,"f":1000}`},
		{"a serial format is a text", "format: 7E1", `{"format":"7E1"}`},
		{"off is a text", "tls: off", `{"tls":"off"}`},
		{"numbers as keys are texts", "enum: {0: off, 0x10: on}", `{"enum":{"0":"off","16":"on"}}`},
		{"quoted and folded", "a: 'x: #'\nb: \"\\r\\n\"\nc: |\n  one\n  two\n", `{"a":"x: #","b":"\r\n","c":"one\ntwo\n"}`},
		{"null and empty", "a:\nb: ~\nc: {}\nd: []\n", `{"a":null,"b":null,"c":{},"d":[]}`},
		{"an alias is a copy", "a: &x {k: 1}\nb: [*x, *x]\n", `{"a":{"k":1},"b":[{"k":1},{"k":1}]}`},
		{"floats that JSON writes otherwise", "a: .5\nb: +1.5\n", `{"a":0.5,"b":1.5}`},
		{"a list at the top", "- 1\n- a\n", `[1,"a"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := config.FromYAML("f", []byte(tt.yaml))
			require.NoError(t, err)
			require.Equal(t, tt.json, string(got))
		})
	}
}

func TestFromYAML_NamesFileAndLineOfEveryFault(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"twice", "a: 1\nb: 2\na: 3\nb: 4\n", "f.yaml:3: a stands here and on line 1\nf.yaml:4: b stands here and on line 2"},
		{"grammar", "a: b: c\n", "f.yaml:1: not YAML: mapping value is not allowed in this context"},
		{"a tag", "a: 1\nb: !!int 3\n", "f.yaml:2: tags such as !!int are not allowed"},
		{"a merge key", "a: &x {k: 1}\nb:\n  <<: *x\n", "f.yaml:3: merge keys (<<) are not allowed; an alias can stand for a whole value"},
		{"an unknown alias", "a: *x\n", "f.yaml:1: *x: no anchor of that name stands above"},
		{"an alias inside its anchor", "a: &x [*x]\n", "f.yaml:1: *x: no anchor of that name stands above"},
		{"no number", "a: .nan\nb: -.inf\n", "f.yaml:1: .nan is no number that can be set\nf.yaml:2: -.inf is no number that can be set"},
		{"an octal of old", "a: 010\n", "f.yaml:1: 010 begins with 0; write it without, or 0o10 for an octal number"},
		{"a second document", "a: 1\n---\nb: 2\n", "f.yaml:3: a second document is not allowed"},
		{"a list as key", "? [a]\n: 1\n", "f.yaml:2: not YAML: found an invalid key for this map"},
		{"deep brackets", strings.Repeat("[", 100_000), "f.yaml:1: more than 64 brackets inside one another"},
		{"deep lists", strings.Repeat("- ", 200) + "a", "f.yaml:1: more than 64 levels"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := config.FromYAML("f.yaml", []byte(tt.yaml))
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestFromYAML_SurvivesAnAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		n, m := string(rune('0'+i)), string(rune('1'+i))
		b.WriteString("a" + m + ": &a" + m + " [" + strings.Repeat("*a"+n+",", 9) + "*a" + n + "]\n")
	}
	_, _, err := config.FromYAML("bomb.yaml", []byte(b.String()))
	require.ErrorContains(t, err, "more than 500000 values")
}

func TestToYAML_ReadsAsPeopleWriteIt(t *testing.T) {
	in := `{"bridges":[{"id":"cabinet","kind":"modbus","link":{"serial":{"port":"/dev/ttyUSB0","baud":9600,"format":"8N1"}},"timeout":"500ms",` +
		`"devices":[{"id":"m","unit":1,"points":[{"id":"power","table":"input","address":52,"unit":"°C","invalid":["nan"]},{"id":"odd","enum":{"0":"off"}}]}]}],"uplinks":[]}`
	want := `bridges:
  - id: cabinet
    kind: modbus
    link: {serial: {port: /dev/ttyUSB0, baud: 9600, format: 8N1}}
    timeout: 500ms
    devices:
      - id: m
        unit: 1
        points:
          - {id: power, table: input, address: 52, unit: °C, invalid: [nan]}
          - {id: odd, enum: {"0": off}}
uplinks: []
`
	require.Equal(t, want, string(config.ToYAML(json.RawMessage(in))))
}

func FuzzFromYAML(f *testing.F) {
	for _, seed := range []string{
		"a: 1\nb: [x, {y: 2}]\n", "a: &x {k: 1}\nb: *x\n", "format: 7E1\n", "a: |\n  x\n", "- - - a", "{a: 1}", "a: 'x''y'\n", "? a\n: b\n", "\xef\xbb\xbfa: 1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 4096 {
			return
		}
		raw, at, err := config.FromYAML("f", src)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.True(t, json.Valid(raw), "%q", raw)
		require.NotEmpty(t, at)
		again, _, err := config.FromYAML("f", config.ToYAML(raw))
		require.NoError(t, err, "%q became %q", raw, config.ToYAML(raw))
		require.JSONEq(t, string(raw), string(again))
	})
}

func FuzzToYAML(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,"2",true,null,-0.5e-7,1e300,{"b":"x: y"}]}`, `{"":""," ":"\u0000\u007f\u2028","é":"\ud83d\ude00"}`, `[[],{},[[]]]`, `"a"`, `{"a":"7E1","b":"0x1","c":"~","d":"off","e":"- x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if len(raw) > 4096 || !json.Valid(raw) || dec.Decode(&v) != nil || !ordinary(v, 0) {
			return
		}
		canonical, err := json.Marshal(v) // one of each key, texts in UTF-8
		require.NoError(t, err)
		text := config.ToYAML(canonical)
		got, _, err := config.FromYAML("f", text)
		require.NoError(t, err, "%s", text)
		require.JSONEq(t, string(canonical), string(got), "%s", text)
	})
}

// ordinary tells whether a value keeps to what settings hold: numbers of 64 bits, few levels.
func ordinary(v any, depth int) bool {
	switch v := v.(type) {
	case json.Number:
		_, errInt := v.Int64()
		_, errFloat := v.Float64()
		return errInt == nil || errFloat == nil && strings.ContainsAny(v.String(), ".eE")
	case []any:
		for _, e := range v {
			if depth > 20 || !ordinary(e, depth+1) {
				return false
			}
		}
	case map[string]any:
		for _, e := range v {
			if depth > 20 || !ordinary(e, depth+1) {
				return false
			}
		}
	}
	return true
}
