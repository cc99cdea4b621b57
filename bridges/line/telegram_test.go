package line_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/line"
)

// bodies pushes chunks and gives the bodies of frames whose checksum is right.
func bodies(f line.Framer, c *line.Checksum, chunks ...string) []string {
	var got []string
	for _, x := range chunks {
		f.Push([]byte(x), func(frame line.Frame) bool {
			body, ok := c.Verify(frame)
			if ok {
				got = append(got, string(body))
			}
			return ok
		})
	}
	return got
}

func TestFramers_CutTelegrams(t *testing.T) {
	garbage := strings.Repeat("\x00\xff\x55\xaa\x03", 3300)
	for _, c := range []struct {
		name, framing, checksum string
		chunks, want            []string
	}{
		{"several delimiters", `{"delimiters":["\r","\n",";"]}`, `{"type":"none"}`, []string{"a\rb", ";c\n"}, []string{"a", "b", "c"}},
		{"marks", `{"start":"\u0002","end":"\u0003"}`, `{"type":"none"}`, []string{"x\x02ab\x03y\x02c", "d\x03"}, []string{"ab", "cd"}},
		{"end lost", `{"start":"\u0002","end":"\u0003"}`, `{"type":"none"}`, []string{"\x02ab\x02cd\x03"}, []string{"cd"}},
		{"marks and garbage", `{"start":"\u0002","end":"\u0003"}`, `{"type":"none"}`, []string{garbage, "\x02ok\x03"}, []string{"ok"}},
		{"overlong between marks", `{"start":"\u0002","end":"\u0003","max_length":4}`, `{"type":"none"}`, []string{"\x02abcdefgh\x03\x02ok\x03"}, []string{"ok"}},
		{"checksum behind the end mark", `{"start":"\u0002","end":"\u0003","after":1}`, `{"type":"xor"}`, []string{"\x02ab\x03\x00", "\x02ab\x03\x01"}, []string{"ab"}},
		{"checksum that looks like a mark", `{"start":"\u0002","end":"\u0003","after":1}`, `{"type":"xor"}`, []string{"\x02\x62a\x03\x00", "\x02\x30\x31\x03\x02", "\x02ok\x03\x07"}, []string{"ba", "01", "ok"}},
		{"escape", `{"start":"\u0002","end":"\u0003","escape":"\u001b"}`, `{"type":"none"}`, []string{"\x02a\x1b", "\x03b\x1b\x02\x1b\x1b\x03"}, []string{"a\x03b\x02\x1b"}},
		{"DLE STX", `{"start":"\u0010\u0002","end":"\u0010\u0003","escape":"\u0010"}`, `{"type":"none"}`, []string{"\x10\x02a\x10\x10\x03b\x10\x03"}, []string{"a\x10\x03b"}},
		{"fixed length with a start", `{"start":"hex: AA 55","length":5}`, `{"type":"xor"}`,
			[]string{"\x55\xaa\x55\x01\x02\xfc", garbage, "\xaa\x55\xaa\x55\x03\x04\xf8"}, []string{"\xaa\x55\x01\x02", "\xaa\x55\x03\x04"}},
		{"fixed length without a start", `{"length":3}`, `{"type":"sum8"}`, []string{"\x09\x01\x02\x03\x04\x05\x09"}, []string{"\x01\x02", "\x04\x05"}},
		{"fixed length without a checksum", `{"start":"A","length":3}`, `{"type":"none"}`, []string{"xA1A23A45A6"}, []string{"A23", "A45"}},
		{"length field", `{"start":"#","length_field":{"offset":1,"add":2}}`, `{"type":"none"}`, []string{"#\x02ab#\x00#", "\x03xyz#"}, []string{"#\x02ab", "#\x00", "#\x03xyz"}},
		{"length field of two bytes", `{"start":"#","length_field":{"offset":1,"size":2,"order":"little","add":4}}`, `{"type":"sum8"}`,
			[]string{"#\xff\xff#\x01\x00a\x85"}, []string{"#\x01\x00a"}},
		{"impossible length", `{"start":"#","max_length":8,"length_field":{"offset":1,"add":2}}`, `{"type":"none"}`, []string{"#\x7f#\x01a#\x01b#"}, []string{"#\x01a", "#\x01b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sum := line.ChecksumOf(t, c.checksum)
			whole := line.FramerOf(t, c.framing, sum.Type)
			require.Equal(t, c.want, bodies(whole, sum, c.chunks...))
			pieces := line.FramerOf(t, c.framing, sum.Type)
			require.Equal(t, c.want, bodies(pieces, sum, strings.Split(strings.Join(c.chunks, ""), "")...), "byte by byte")
		})
	}
}

func TestChecksum_KnowsTheStandardValues(t *testing.T) {
	for _, c := range []struct {
		typ  string
		want uint16
	}{
		{"xor", 0x31}, {"sum8", 0xdd}, {"lrc", 0x23}, {"sum16", 0x1dd}, {"crc16_modbus", 0x4b37}, {"crc16_ccitt", 0x29b1}, {"crc16_xmodem", 0x31c3}, {"crc16_kermit", 0x2189},
	} {
		require.Equal(t, c.want, line.ChecksumOf(t, `{"type":"`+c.typ+`"}`).Sum([]byte("123456789")), c.typ)
	}
}

func TestChecksum_StandsWhereTheSettingsSay(t *testing.T) {
	for _, c := range []struct{ name, settings, frame, want string }{
		{"nmea", `{"type":"nmea"}`, "$GPGLL,4916.45,N,12311.12,W,225444,A,*1D", "GPGLL,4916.45,N,12311.12,W,225444,A,"},
		{"nmea in small letters", `{"type":"nmea"}`, "$GPGLL,4916.45,N,12311.12,W,225444,A,*1d", "GPGLL,4916.45,N,12311.12,W,225444,A,"},
		{"hex", `{"type":"sum8","format":"hex"}`, "ab12C3", ""},
		{"hex right", `{"type":"sum8","format":"hex"}`, "abC3", "ab"},
		{"decimal", `{"type":"xor","format":"decimal"}`, "ab003", "ab"},
		{"little", `{"type":"crc16_modbus"}`, "123456789\x37\x4b", "123456789"},
		{"big", `{"type":"crc16_modbus","order":"big"}`, "123456789\x4b\x37", "123456789"},
		{"hex words", `{"type":"crc16_ccitt","format":"hex"}`, "12345678929B1", "123456789"},
		{"part of the frame", `{"type":"xor","from":1,"to":-2,"at":-1}`, "#ab*\x03", "#ab*"},
		{"at the front", `{"type":"xor","at":0,"from":1,"to":1024}`, "\x03ab", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, ok := line.ChecksumOf(t, c.settings).Verify(line.Frame{Bytes: []byte(c.frame)})
			require.Equal(t, c.want != "", ok)
			require.Equal(t, c.want, string(body))
		})
	}
}

// FuzzTelegram: any bytes, in any pieces, give the same frames; memory is bounded; and
// after any garbage a right frame between marks is found.
func FuzzTelegram(f *testing.F) {
	framings := []string{
		`{"start":"\u0002","end":"\u0003","after":1,"max_length":32}`, `{"start":"\u0010\u0002","end":"\u0010\u0003","escape":"\u0010","after":1,"max_length":32}`,
		`{"start":"#","length":4}`, `{"length":4}`, `{"start":"#","max_length":32,"length_field":{"offset":1,"add":3}}`, `{"delimiters":["\r","ab"],"max_length":32}`,
	}
	for i := range framings {
		f.Add([]byte("\x02ab\x03\x01#\x02ab\x03#\x01a\x43"), i)
	}
	f.Fuzz(func(t *testing.T, data []byte, i int) {
		if i < 0 || i >= len(framings) || len(data) > 4096 {
			return
		}
		sum := line.ChecksumOf(t, `{"type":"xor"}`)
		whole, pieces := line.FramerOf(t, framings[i], "xor"), line.FramerOf(t, framings[i], "xor")
		want := bodies(whole, sum, string(data))
		var got []string
		for _, b := range data {
			got = append(got, bodies(pieces, sum, string([]byte{b}))...)
			require.LessOrEqual(t, len(pieces.Partial()), 64)
		}
		require.Equal(t, want, got)
		if i == 2 { // behind any garbage, once a frame's length without a start has passed, a right frame is found
			after := bodies(whole, sum, "xxxx", "#ab\x20")
			require.Contains(t, after, "#ab")
		}
		if i == 0 {
			after := bodies(whole, sum, "\x02", "\x02ok\x03\x07", "\x02ok\x03\x07")
			require.Contains(t, after, "ok")
		}
	})
}

func FuzzChecksum(f *testing.F) {
	f.Add([]byte("GPGGA,1,2"), 0, uint8(3))
	f.Add([]byte("abc"), 4, uint8(0))
	settings := []string{`{"type":"nmea"}`, `{"type":"xor","format":"hex"}`, `{"type":"sum8"}`, `{"type":"lrc","format":"decimal"}`, `{"type":"sum16"}`,
		`{"type":"crc16_modbus"}`, `{"type":"crc16_ccitt","format":"hex","order":"little"}`, `{"type":"crc16_kermit"}`, `{"type":"crc16_xmodem","format":"decimal"}`}
	f.Fuzz(func(t *testing.T, data []byte, i int, flip uint8) {
		if i < 0 || i >= len(settings) || len(data) == 0 {
			return
		}
		c := line.ChecksumOf(t, settings[i])
		c.Verify(line.Frame{Bytes: data}) // whatever it is
		frame := append([]byte{}, data...)
		if i == 0 {
			frame = append([]byte("$"), strings.Map(func(r rune) rune {
				if r < ' ' || r > '~' || r == '$' || r == '*' || r == '!' {
					return 'x'
				}
				return r
			}, string(data))...)
			frame = append(frame, '*')
		}
		frame = c.AppendTo(frame)
		_, ok := c.Verify(line.Frame{Bytes: frame})
		require.True(t, ok, "%q", frame)
		frame[int(flip)%len(data)] ^= 1
		if i != 0 {
			_, ok = c.Verify(line.Frame{Bytes: frame})
			require.False(t, ok, "one bit is seen")
		}
	})
}

// A byte that was lost or came twice must not make one frame of two.
func TestFramers_OfALengthCountWhenTheNextOneOrNothingStandsBehind(t *testing.T) {
	sum := line.ChecksumOf(t, `{"type":"none"}`)
	for _, c := range []struct {
		name, framing, in string
		want              []string
	}{
		{"a byte lost", `{"start":"A","length":4}`, "A123A45A789Axyz", []string{"A123", "A789"}},
		{"a byte twice", `{"start":"A","length":4}`, "A123A4456A789Axyz", []string{"A123", "A789"}},
		{"a byte lost, with a length field", `{"start":"#","length_field":{"offset":1,"add":2}}`, "#\x02ab#\x02c#\x02ef#\x02gh", []string{"#\x02ab", "#\x02ef"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, bodies(line.FramerOf(t, c.framing, "none"), sum, strings.Split(c.in, "")...))
		})
	}
}
