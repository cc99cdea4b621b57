package line_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/line"
)

// try tests settings with a sample and gives "point=value" or "point!code", or the error.
func try(t *testing.T, rest, sample string) string {
	t.Helper()
	text, err := line.Bytes(sample).MarshalText()
	require.NoError(t, err)
	quoted, err := json.Marshal(string(text))
	require.NoError(t, err)
	b, err := line.Kind(&port.Ports{}).New(bridges.Config{Settings: json.RawMessage(`{"link":{"tcp":{"address":"h:1"}},"sample":` + string(quoted) + `,` + rest + `}`)}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err.Error()
	}
	readings, err := b.(bridges.Tester).Test(t.Context(), "")
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, r := range readings {
		if r.Quality == bridges.Good {
			words = append(words, r.Point+"="+r.Value.String())
		} else {
			words = append(words, r.Point+"!"+r.Error)
		}
	}
	return strings.Join(words, " ")
}

func device(parse, points string) string {
	return `"devices":[{"id":"d","parse":` + parse + `,"points":[` + points + `]}]`
}

func TestParse_ReadsEveryForm(t *testing.T) {
	const gps = `{"id":"lat","field":"GGA.lat"},{"id":"lon","field":"GGA.lon"},{"id":"alt","field":"GGA.altitude"},{"id":"time","field":"GGA.time"}`
	for _, c := range []struct{ name, settings, sample, want string }{
		{"regex", device(`{"regex":"(?P<w>.*)kg"}`, `{"id":"w"}`), "ST,", "1 frames came, but none matches parse; the last was ST,; not even the first piece of the regex matches"},
		{"regex in part", device(`{"regex":"^ST,(?P<w>[0-9.]+)kg"}`, `{"id":"w"}`), "ST,12g", "1 frames came, but none matches parse; the last was ST,12g; the regex matches up to its character 18: ^ST,(?P<w>[0-9.]+)"},
		{"csv by number", device(`{"csv":{}}`, `{"id":"t","field":2},{"id":"name","field":"1","type":"string"}`), "\"roof, \"\"old\"\"\",21.5,x\r\n", `t=21.5 name=roof, "old"`},
		{"csv by name", device(`{"csv":{"separator":";","columns":["t","h"]},"decimal":","}`, `{"id":"h"},{"id":"t"}`), "21,5;40\r\n", "h=40 t=21.5"},
		{"csv too short", device(`{"csv":{"columns":["t","h"]}}`, `{"id":"t"}`), "21.5", "1 frames came, but none matches parse; the last was 21.5"},
		{"csv with a header", device(`{"csv":{"header":true}}`, `{"id":"h"},{"id":"t"}`), "1,2\r\ntime,t,h\r\n12:00,21.5,40\r\n", "h=40 t=21.5"},
		{"csv count", device(`{"csv":{"count":3}}`, `{"id":"t","field":1}`), "1,2\r\n1,2,3,4\r\n3,4,5\r\n", "t=3"},
		{"csv quote open", device(`{"csv":{}}`, `{"id":"t","field":1}`), "\"1,2\r\n", "1 frames came, but none matches parse; the last was \"1,2"},
		{"json", device(`{"json":true}`, `{"id":"t","field":"a.b[1].c","type":"int"},{"id":"s","type":"string"},{"id":"on","type":"bool"},{"id":"n"},{"id":"gone"},{"id":"k","field":"/x.y"}`),
			`{"a":{"b":[0,{"c":9007199254740993}]},"s":"x","on":true,"n":null,"x.y":"1.5"}`, "t=9007199254740993 s=x on=true n!empty gone!timeout k=1.5"},
		{"json cut", device(`{"json":true}`, `{"id":"t"}`), `{"t":1`, `1 frames came, but none matches parse; the last was {"t":1`},
		{"json fraction for int", device(`{"json":true}`, `{"id":"t","type":"int"}`), `{"t":1.5}`, "t!parse"},
		{"key value", device(`{"key_value":{"pair":" "}}`, `{"id":"t","field":"T"},{"id":"h","field":"H"}`), "X T=21.5 H= -3 \r\n", "t=21.5 h!empty"},
		{"key twice", device(`{"key_value":{}}`, `{"id":"t"}`), "t=1,t=2", "1 frames came, but none matches parse; the last was t=1,t=2"},
		{"text", device(`{"text":true,"begins":"S"}`, `{"id":"code"}`), "S4006381333931\r\n", "code=4006381333931"},
		{"nmea", device(`{"nmea":true}`, gps), "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n", "lat=48.1173 lon=11.51666667 alt=545.4 time=12:35:19Z"},
		{"nmea damaged", device(`{"nmea":true}`, gps), "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,546.4,M,46.9,M,,*47\r\n",
			"1 frames came, but with a wrong checksum (nmea); the last was $GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,546.4,M,46.9,M,,*47; check the checksum's type and place, baud rate and format"},
		{"nmea without fix", `"checksum":{"type":"none"},` + device(`{"nmea":true}`, gps), "$GNGGA,123519,,,,,0,00,99.9,,,,,,\r\n", "lat!no_fix lon!no_fix alt!no_fix time=12:35:19Z"},
		{"nmea west and south", `"checksum":{"type":"none"},` + device(`{"nmea":true}`, `{"id":"a","field":"RMC.lat"},{"id":"b","field":"RMC.lon"},{"id":"s","field":"RMC.speed"},{"id":"d","field":"RMC.datetime"},{"id":"v","field":"RMC.variation"}`),
			"$GPRMC,225446.5,A,4916.45,S,12311.12,W,000.5,054.7,191194,020.3,W,A", "a=-49.27416667 b=-123.18533333 s=0.5 d=1994-11-19T22:54:46.5Z v=-20.3"},
		{"nmea others", `"checksum":{"type":"none"},` + device(`{"nmea":true}`, `{"id":"k","field":"VTG.speed_kmh"},{"id":"p","field":"GSA.pdop"},{"id":"z","field":"ZDA.datetime"},{"id":"l","field":"GLL.lat"},{"id":"w","field":"MWV.1"},{"id":"bad","field":"GLL.lon"}`),
			"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K\r\n$GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1\r\n$GPZDA,201530.00,04,07,2002,00,00\r\n$GPGLL,4916.45,N,12360.00,W,225444,A\r\n$WIMWV,214.8,R,0.1,K,A",
			"k=10.2 p=2.5 z=2002-07-04T20:15:30.00Z l=49.27416667 w=214.8 bad!parse"},
		{"binary", `"framing":{"start":"hex: AA 55","length":13},"checksum":{"type":"crc16_modbus"},` + device(`{"binary":true}`,
			`{"id":"v","type":"int16","at":2,"scale":0.1},{"id":"f","type":"float32","at":4,"order":"CDAB"},{"id":"b","type":"bcd16","at":8},{"id":"bit","type":"uint8","at":10,"bit":7}`),
			withCRC("\xaa\x55\xff\x9c\x00\x00\x41\xac\x12\x34\x80"), "v=-10 f=21.5 b=1234 bit=true"},
		{"binary that is no number", `"framing":{"start":"!","length":5},"checksum":{"type":"none"},` + device(`{"binary":true}`, `{"id":"f","type":"float32","at":1}`),
			"!\x7f\xc0\x00\x00!", "f!not_a_number"},
		{"enum and invalid", device(`{"csv":{}}`, `{"id":"s","field":1,"enum":{"S":"stable","D":"moving"}},{"id":"u","field":2,"enum":{"1":"on"}},{"id":"w","field":3,"invalid":[-999,"n/a"]},{"id":"x","field":4,"invalid":["n/a"]}`),
			"S,2,-999.0, n/a", "s=stable u!unknown w!invalid x!invalid"},
		{"overload", device(`{"csv":{},"overload":["ERR 2"]}`, `{"id":"a","field":1},{"id":"b","field":2},{"id":"c","field":3},{"id":"d","field":4},{"id":"e","field":5}`),
			"+0.L,------,ERR 2,-,12x", "a!overload b!overload c!overload d!parse e!parse"},
		{"thousands", device(`{"csv":{"separator":";"},"decimal":",","thousands":"."}`, `{"id":"a","field":1},{"id":"b","field":2},{"id":"c","field":3}`), "- 1.234.567,5;12.34;1234,5", "a=-1234567.5 b!parse c=1234.5"},
		{"units", device(`{"csv":{}}`, `{"id":"a","field":1,"unit":"kg","units":{"kg":1,"g":0.001}},{"id":"b","field":2,"unit":"kg","units":{"kg":1,"g":0.001}},{"id":"c","field":3,"unit":"kg","units":{"kg":1}},{"id":"d","field":4,"unit":"kg"},{"id":"e","field":5,"unit_field":6,"units":{"g":0.001}}`),
			"12.5 kg,250g,3 lb,7kg,1500,g", "a=12.5 b=0.25 c!unit d=7 e=1.5"},
		{"other address", `"devices":[{"id":"d","address":"02","parse":{"regex":"^(?P<adr>..),(?P<w>.*)$","address":"adr"},"points":[{"id":"w"}]}]`, "01,5", "1 frames came, but from other addresses; the last was 01,5"},
		{"own address", `"devices":[{"id":"d","address":"02","parse":{"regex":"^(?P<adr>..),(?P<w>.*)$","address":"adr"},"points":[{"id":"w"}]}]`, "01,5\r\n02,6\r\n", "w=6"},
		{"no end mark", `"framing":{"start":"\\x02","end":"\\x03"},` + device(`{"text":true}`, `{"id":"x"}`), "\x02abc\x1b",
			"5 bytes came, but no whole frame by framing.start <STX> and framing.end <ETX>; the last were <STX>abc<ESC>; check the framing, baud rate and format"},
		{"idle gap", `"framing":{"idle_gap":"20ms"},` + device(`{"text":true}`, `{"id":"x"}`), "abc", "x=abc"},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, try(t, c.settings, c.sample)) })
	}
}

func withCRC(frame string) string {
	crc := uint16(0xffff)
	for _, c := range []byte(frame) {
		crc ^= uint16(c)
		for range 8 {
			odd := crc&1 == 1
			if crc >>= 1; odd {
				crc ^= 0xa001
			}
		}
	}
	return frame + string([]byte{byte(crc), byte(crc >> 8)})
}

func TestSettings_SayWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ name, settings, want string }{
		{"regex with its place", device(`{"regex":"^ST,(?P<w>[9-0])"}`, `{"id":"w"}`), "/devices/0/parse/regex: is no regular expression: invalid character class range at character 12: 9-0"},
		{"two forms", device(`{"regex":"(?P<w>.)","json":true}`, `{"id":"w"}`), "/devices/0/parse: must have one of regex and json, not all"},
		{"no form", device(`{}`, `{"id":"w"}`), "/devices/0/parse/regex: is needed, or another way to parse: csv, json, key_value, nmea, binary, text"},
		{"unknown sentence field", device(`{"nmea":true}`, `{"id":"w","field":"GGA.latitude"}`), "/devices/0/points/0/field: GGA has no field latitude; it has time, lat, lon,"},
		{"no sentence", device(`{"nmea":true}`, `{"id":"w"}`), "/devices/0/points/0/id: must be a sentence and its field, such as GGA.lat"},
		{"no column", device(`{"csv":{}}`, `{"id":"w"}`), "/devices/0/points/0/id: must be the number of a column, from 1, or one of csv.columns, not w"},
		{"escape", `"framing":{"delimiter":"\\q"},` + device(`{"text":true}`, `{"id":"w"}`), `/framing/delimiter: has an escape that is unknown: \q`},
		{"wide character", `"framing":{"delimiter":"€"},` + device(`{"text":true}`, `{"id":"w"}`), "/framing/delimiter: has the character '€', which is no single byte"},
		{"hex", `"framing":{"delimiter":"hex: 0"},` + device(`{"text":true}`, `{"id":"w"}`), "/framing/delimiter: after hex: must be pairs"},
		{"delimiter in another", `"framing":{"delimiters":["\r\n","\n"]},` + device(`{"text":true}`, `{"id":"w"}`), "/framing/delimiters/0: is never seen: <LF> in it ends the line before"},
		{"two framings", `"framing":{"delimiter":"\n","length":4},` + device(`{"text":true}`, `{"id":"w"}`), "/framing/delimiter: must be left out when"},
		{"length without help", `"framing":{"length":4},` + device(`{"text":true}`, `{"id":"w"}`), "/framing/length: needs start, idle_gap or a checksum"},
		{"same marks", `"framing":{"start":"~","end":"~"},` + device(`{"text":true}`, `{"id":"w"}`), "/framing/end: must differ from start"},
		{"unknown checksum", `"checksum":{"type":"crc16"},` + device(`{"text":true}`, `{"id":"w"}`), "/checksum/type: must be one of none, nmea, xor,"},
		{"template", `"devices":[{"id":"d","request":"{adress}","parse":{"text":true},"points":[{"id":"w"}]}]`, "/devices/0/request: has {adress}, which is unknown; known are {address}"},
		{"value in a request", `"devices":[{"id":"d","request":"{value}","parse":{"text":true},"points":[{"id":"w"}]}]`, "/devices/0/request: has {value}, which only write.command knows"},
		{"format", device(`{"text":true}`, `{"id":"w","write":{"command":"{value:q}"}}`), "/devices/0/points/0/write/command: has the format {value:q}, which is unknown"},
		{"ack", device(`{"text":true}`, `{"id":"w","write":{"command":"x","ack":"("}}`), "/devices/0/points/0/write/ack: is no regular expression: missing closing ): ("},
		{"binary without a place", device(`{"binary":true}`, `{"id":"w","type":"int16"}`), "/devices/0/points/0/at: is needed"},
		{"place without binary", device(`{"text":true}`, `{"id":"w","at":1}`), "/devices/0/points/0/at: has a meaning only with parse.binary"},
		{"address", device(`{"json":true,"address":"id"}`, `{"id":"w"}`), "/devices/0/parse/address: needs the address of the device"},
		{"deadband", device(`{"json":true}`, `{"id":"w","deadband":-1}`), "/devices/0/points/0/deadband: must be 0 or above"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := line.Kind(&port.Ports{}).New(bridges.Config{Settings: json.RawMessage(`{"link":{"tcp":{"address":"h:1"}},` + c.settings + `}`)}, slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func FuzzCSV(f *testing.F) {
	f.Add(`a,"b ""c""",d`, byte(','), byte('"'))
	f.Add(`;;"`, byte(';'), byte(0))
	f.Fuzz(func(t *testing.T, text string, separator, quote byte) {
		if separator == quote || separator >= 0x80 || quote >= 0x80 {
			return
		}
		row, ok := line.SplitCSV(nil, text, separator, quote)
		require.NotEmpty(t, append(row, "x"))
		if !ok || quote == 0 {
			if quote == 0 {
				require.Equal(t, text, strings.Join(row, string(rune(separator))))
			}
			return
		}
		q := string(rune(quote))
		for i := range row {
			row[i] = q + strings.ReplaceAll(row[i], q, q+q) + q
		}
		again, ok := line.SplitCSV(nil, strings.Join(row, string(rune(separator))), separator, quote)
		require.True(t, ok)
		for i := range again {
			require.Equal(t, row[i], q+strings.ReplaceAll(again[i], q, q+q)+q)
		}
	})
}

// FuzzNMEA: any sentence is survived, and what comes out is in range.
func FuzzNMEA(f *testing.F) {
	f.Add("4807.038", "N")
	f.Add("12311.12", "W")
	f.Add("9999.99", "S")
	f.Fuzz(func(t *testing.T, text, side string) {
		d, ok := line.Degrees(text, side)
		if ok {
			require.LessOrEqual(t, d, 180.0)
			require.GreaterOrEqual(t, d, -180.0)
			if side == "N" || side == "S" {
				require.LessOrEqual(t, d, 90.0)
				require.GreaterOrEqual(t, d, -90.0)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	forms := []string{
		device(`{"nmea":true}`, `{"id":"a","field":"GGA.lat"},{"id":"b","field":"RMC.datetime"},{"id":"c","field":"MWV.9"}`),
		device(`{"json":true}`, `{"id":"a","field":"x[0].y"},{"id":"b","type":"string"}`), device(`{"key_value":{}}`, `{"id":"a"},{"id":"b","type":"int"}`),
		device(`{"csv":{"header":true}}`, `{"id":"a"},{"id":"b","units":{"kg":1}}`), device(`{"binary":true}`, `{"id":"a","type":"bcd32","at":1},{"id":"b","type":"float64","at":3,"order":"BADC"}`),
	}
	for i, s := range []string{"$GPGGA,1,2,N,3,E,1", `{"x":[{"y":1}]}`, "a=1,b=2", "a,b\r\n1,2kg", "0123456789abcdef"} {
		f.Add([]byte(s), i)
	}
	f.Fuzz(func(t *testing.T, data []byte, i int) {
		if i < 0 || i >= len(forms) || len(data) == 0 || len(data) > 1000 {
			return
		}
		require.NotEmpty(t, try(t, `"checksum":{"type":"none"},`+forms[i], string(data)))
	})
}

// BenchmarkStreams takes one second of 5 streams of 100 lines each, in pieces as a serial port gives them.
func BenchmarkStreams(b *testing.B) {
	for _, c := range []struct{ name, rest, line string }{
		{"regex", device(`{"regex":"^ST,GS,(?P<v>[-+0-9. ]+)kg$"}`, `{"id":"v"}`), "ST,GS,+  12.34kg\r\n"},
		{"csv", device(`{"csv":{}}`, `{"id":"v","field":2},{"id":"w","field":3}`), "12:00,21.5,40\r\n"},
		{"nmea", device(`{"nmea":true}`, `{"id":"lat","field":"GGA.lat"},{"id":"lon","field":"GGA.lon"}`), "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"},
		{"json", device(`{"json":true}`, `{"id":"v"}`), `{"v":1.5,"w":[1,2]}` + "\r\n"},
		{"binary", `"framing":{"start":"hex: AA 55","length_field":{"offset":2,"add":5}},"checksum":{"type":"crc16_modbus"},` + device(`{"binary":true}`, `{"id":"v","type":"int16","at":3}`),
			withCRC("\xaa\x55\x02\x00\x0f")},
	} {
		b.Run(c.name, func(b *testing.B) {
			const lines, piece = 500, 32
			read := line.Reader(b, `{"link":{"tcp":{"address":"h:1"}},`+c.rest+`}`)
			data := []byte(strings.Repeat(c.line, lines))
			var matched int64
			b.ReportAllocs()
			for b.Loop() {
				for rest := data; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
					matched = read(rest[:min(piece, len(rest))])
				}
			}
			require.Equal(b, int64(b.N)*lines, matched, "none is lost")
		})
	}
}

// TestGarbage_CostsNothing: 16 KB of it before every good frame.
func TestGarbage_CostsNothing(t *testing.T) {
	for _, c := range []struct{ name, rest, frame string }{
		{"lines", device(`{"regex":"^N(?P<v>[0-9]+)$"}`, `{"id":"v"}`), "N12\r\n"},
		{"marks", `"framing":{"start":"\\x02","end":"\\x03"},` + device(`{"regex":"^N(?P<v>[0-9]+)$"}`, `{"id":"v"}`), "\x02N12\x03"},
		{"length field", `"framing":{"start":"hex: AA 55","length_field":{"offset":2,"add":5}},"checksum":{"type":"crc16_modbus"},` + device(`{"binary":true}`, `{"id":"v","type":"int16","at":3}`),
			withCRC("\xaa\x55\x02\x00\x0f")},
	} {
		t.Run(c.name, func(t *testing.T) {
			read := line.Reader(t, `{"link":{"tcp":{"address":"h:1"}},`+c.rest+`}`)
			garbage := make([]byte, 16<<10)
			for i := range garbage {
				garbage[i] = byte(i*7919>>3) | 0x80
			}
			var matched int64
			for range 10 {
				read(garbage)
				read([]byte("\r\n")) // the next delimiter
				matched = read([]byte(c.frame))
			}
			require.Equal(t, int64(10), matched)
		})
	}
}
