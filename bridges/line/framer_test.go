package line_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/line"
)

func cut(f line.Framer, chunks ...string) []string {
	var got []string
	for _, c := range chunks {
		f.Push([]byte(c), func(x line.Frame) bool { got = append(got, string(x.Bytes)); return true })
	}
	return got
}

func TestFramer_CutsLines(t *testing.T) {
	for _, c := range []struct {
		name, delimiter string
		chunks, want    []string
		overlong        int64
	}{
		{"one", "\r\n", []string{"abc\r\n"}, []string{"abc"}, 0},
		{"several in a chunk", "\n", []string{"a\nb\n\nc"}, []string{"a", "b", ""}, 0},
		{"in pieces", "\r\n", []string{"a", "b\r", "\nc", "d\r\n"}, []string{"ab", "cd"}, 0},
		{"half a delimiter", "\r\n", []string{"a\rb\n\r\n"}, []string{"a\rb\n"}, 0},
		{"as long as allowed", "\r\n", []string{"12345678\r", "\n"}, []string{"12345678"}, 0},
		{"too long at once", "\r\n", []string{"123456789\r\nok\r\n"}, []string{"ok"}, 1},
		{"too long in pieces", "\r\n", []string{"12345", "6789", strings.Repeat("x", 5000), "\r", "\nok\r\n"}, []string{"ok"}, 1},
		{"garbage then a line", "\r\n", []string{"\xff\x00\xfe\r\nok\r\n"}, []string{"\xff\x00\xfe", "ok"}, 0},
		{"delimiter over skipped bytes", "ab", []string{"0123456789a", "b", "okab"}, []string{"ok"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := line.NewLineFramer(8, c.delimiter)
			require.Equal(t, c.want, cut(f, c.chunks...))
			overlong, _ := f.Dropped()
			require.Equal(t, c.overlong, overlong)
		})
	}
}

func TestFramer_SkipAndReset(t *testing.T) {
	f := line.NewLineFramer(8, "\n")
	f.Skip()
	require.Equal(t, []string{"whole"}, cut(f, "half\nwhole\ntorn"))
	require.Equal(t, "torn", string(f.Partial()))
	require.True(t, f.Reset())
	require.False(t, f.Reset())
	require.Equal(t, []string{"new"}, cut(f, "new\n"))
}

func FuzzFramer(f *testing.F) {
	f.Add([]byte("ab\r\ncd\r\n"), "\r\n", 4, uint64(0x5a))
	f.Add([]byte("aaaaaaaaab\n"), "\n", 3, uint64(3))
	f.Add([]byte("xaayaaaz"), "aa", 1, uint64(0xffff))
	f.Fuzz(func(t *testing.T, data []byte, delimiter string, most int, cuts uint64) {
		if delimiter == "" || len(delimiter) > 16 || most < 1 || most > 1000 {
			return
		}
		whole := line.NewLineFramer(most, delimiter)
		want := cut(whole, string(data))
		pieces := line.NewLineFramer(most, delimiter)
		var got []string
		rest := data
		for i := 0; len(rest) > 0; i++ {
			n := min(1+int(cuts>>(i*4%64)&15), len(rest))
			got = append(got, cut(pieces, string(rest[:n]))...)
			rest = rest[n:]
			require.LessOrEqual(t, len(pieces.Partial()), most+len(delimiter), "memory is bounded")
		}
		require.Equal(t, want, got, "the cuts of the stream do not matter")
		overlong, _ := whole.Dropped()
		overlongToo, _ := pieces.Dropped()
		require.Equal(t, overlong, overlongToo)
		dropped := int64(0)
		for _, l := range bytes.Split(data, []byte(delimiter)) {
			if len(l) > most {
				dropped++
			}
		}
		for _, l := range want {
			require.LessOrEqual(t, len(l), most)
			require.NotContains(t, l, delimiter)
		}
		require.LessOrEqual(t, overlong, dropped)
	})
}

func BenchmarkFramer(b *testing.B) {
	data := []byte(strings.Repeat("ST,GS,+  12.34kg\r\n", 200))
	f := line.NewLineFramer(4096, "\r\n")
	lines := 0
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		f.Push(data, func(line.Frame) bool { lines++; return true })
	}
}
