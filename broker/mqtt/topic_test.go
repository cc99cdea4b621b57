package mqtt_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"fieldgate/broker/mqtt"
)

func TestCheckName_SaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name, topic string
		want        error
	}{
		{"plain", "fieldgate/meter/power", nil},
		{"one character", "a", nil},
		{"a slash alone", "/", nil},
		{"empty levels", "a//b/", nil},
		{"space", "a b", nil},
		{"dollar", "$SYS/x", nil},
		{"umlaut", "größe/°C", nil},
		{"four bytes", "🌡/1", nil},
		{"byte order mark", "\ufeffa", nil},
		{"control character", "a\x01", nil},
		{"longest", strings.Repeat("a", 65535), nil},
		{"empty", "", mqtt.ErrLength},
		{"too long", strings.Repeat("a", 65536), mqtt.ErrLength},
		{"plus in the eighth place", "1234567+", mqtt.ErrWildcard},
		{"plus in the ninth place", "12345678+", mqtt.ErrWildcard},
		{"plus inside a level", "a+b", mqtt.ErrWildcard},
		{"hash", "a/#", mqtt.ErrWildcard},
		{"null", "a\x00b", mqtt.ErrNull},
		{"null among eight", "abcd\x00fghij", mqtt.ErrNull},
		{"lone continuation", "a\x80", mqtt.ErrNotUTF8},
		{"torn sequence", "a\xc3", mqtt.ErrNotUTF8},
		{"overlong", "\xc0\xaf", mqtt.ErrNotUTF8},
		{"overlong of three", "\xe0\x80\xaf", mqtt.ErrNotUTF8},
		{"surrogate", "\xed\xa0\x80", mqtt.ErrNotUTF8},
		{"above U+10FFFF", "\xf4\x90\x80\x80", mqtt.ErrNotUTF8},
		{"five bytes", "\xf8\x88\x80\x80\x80", mqtt.ErrNotUTF8},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, mqtt.CheckName(test.topic))
			require.Equal(t, test.want, mqtt.CheckName([]byte(test.topic)))
		})
	}
}

func TestCheckFilter_SaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		filter string
		want   error
	}{
		{"#", nil}, {"+", nil}, {"a/#", nil}, {"/#", nil}, {"+/+", nil}, {"/+", nil}, {"+/", nil}, {"a/+/b/#", nil}, {"a//b", nil}, {"$share/g/a", nil},
		{"", mqtt.ErrLength},
		{strings.Repeat("+/", 32768), mqtt.ErrLength},
		{"a#", mqtt.ErrMultiLast}, {"#/a", mqtt.ErrMultiLast}, {"a/#/b", mqtt.ErrMultiLast}, {"##", mqtt.ErrMultiLast}, {"a/b#", mqtt.ErrMultiLast},
		{"a+", mqtt.ErrPlusAlone}, {"+a", mqtt.ErrPlusAlone}, {"a/+b", mqtt.ErrPlusAlone}, {"++", mqtt.ErrPlusAlone}, {"+#", mqtt.ErrPlusAlone},
		{"a\x00", mqtt.ErrNull}, {"\xff", mqtt.ErrNotUTF8},
	}
	for _, test := range tests {
		t.Run(test.filter[:min(len(test.filter), 10)], func(t *testing.T) {
			require.Equal(t, test.want, mqtt.CheckFilter(test.filter))
		})
	}
}

func TestParseShared_TakesTheFilterApart(t *testing.T) {
	tests := []struct {
		whole, group, filter string
		shared               bool
		want                 error
	}{
		{"$share/g/a/b", "g", "a/b", true, nil},
		{"$share/g/#", "g", "#", true, nil},
		{"$share/g//finance", "g", "/finance", true, nil},
		{"$share/größe/+", "größe", "+", true, nil},
		{"a/b", "", "a/b", false, nil},
		{"$share", "", "$share", false, nil},
		{"$shared/g/a", "", "$shared/g/a", false, nil},
		{"$share/", "", "", true, mqtt.ErrShareName},
		{"$share/g", "", "", true, mqtt.ErrShareName},
		{"$share/g/", "", "", true, mqtt.ErrShareName},
		{"$share//a", "", "", true, mqtt.ErrShareName},
		{"$share/+/a", "", "", true, mqtt.ErrShareName},
		{"$share/g#/a", "", "", true, mqtt.ErrShareName},
		{"$share/\xff/a", "", "", true, mqtt.ErrNotUTF8},
		{"$share/g/a#", "g", "a#", true, mqtt.ErrMultiLast},
		{"a+", "", "a+", false, mqtt.ErrPlusAlone},
		{"$share/g/" + strings.Repeat("a", 65530), "", "", true, mqtt.ErrLength},
	}
	for _, test := range tests {
		t.Run(test.whole[:min(len(test.whole), 20)], func(t *testing.T) {
			group, filter, shared, err := mqtt.ParseShared(test.whole)
			require.Equal(t, test.want, err)
			require.Equal(t, test.shared, shared)
			require.Equal(t, test.group, group)
			require.Equal(t, test.filter, filter)
		})
	}
}

// naiveMatch says level by level what Match must say.
func naiveMatch(filter, name []string) bool {
	switch {
	case len(filter) == 0:
		return len(name) == 0
	case filter[0] == "#":
		return true
	case len(name) == 0:
		return false
	}
	return (filter[0] == "+" || filter[0] == name[0]) && naiveMatch(filter[1:], name[1:])
}

func TestMatch_AgreesWithANaiveMatcher(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		filter := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "+", "$a"}), 1, 5).Draw(t, "filter")
		if rapid.Bool().Draw(t, "multi") {
			filter = append(filter, "#")
		}
		name := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "$a"}), 1, 5).Draw(t, "name")
		want := naiveMatch(filter, name)
		if strings.HasPrefix(name[0], "$") && (filter[0] == "+" || filter[0] == "#") {
			want = false
		}
		require.Equal(t, want, mqtt.Match(strings.Join(filter, "/"), strings.Join(name, "/")))
	})
}

func TestMatch_AllocatesNothing(t *testing.T) {
	deep := strings.Repeat("a/", 32767) + "a"
	require.Zero(t, testing.AllocsPerRun(10, func() { mqtt.Match(strings.Repeat("+/", 0)+deep, deep) }))
	require.Zero(t, testing.AllocsPerRun(10, func() {
		if mqtt.CheckName(deep) != nil || mqtt.CheckFilter(deep) != nil {
			panic("refused")
		}
	}))
}

// FuzzCheckUTF8 compares with the standard library.
func FuzzCheckUTF8(f *testing.F) {
	for _, s := range []string{"", "a", "abcdefgh", "größe", "\xed\xa0\x80", "\xc0\xaf", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80", "abcdefg\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := mqtt.CheckUTF8(s)
		require.Equal(t, utf8.ValidString(s) && !strings.Contains(s, "\x00"), err == nil)
		require.Equal(t, err, mqtt.CheckUTF8([]byte(s)))
		if err == nil && len(s) > 0 && len(s) <= 65535 {
			require.Equal(t, strings.ContainsAny(s, "+#"), mqtt.CheckName(s) != nil)
		}
	})
}

// FuzzMatch: filters that pass their check match names that pass theirs as a naive matcher says.
func FuzzMatch(f *testing.F) {
	for _, row := range [][2]string{{"a/#", "a"}, {"+/+", "/"}, {"#", "$SYS"}, {"$share/g/a", "a"}, {"a/+/c", "a//c"}} {
		f.Add(row[0], row[1])
	}
	f.Fuzz(func(t *testing.T, filter, name string) {
		group, inner, shared, err := mqtt.ParseShared(filter)
		if err == nil && shared {
			require.Equal(t, filter, "$share/"+group+"/"+inner)
			require.NoError(t, mqtt.CheckFilter(inner))
		}
		if mqtt.CheckFilter(filter) != nil || mqtt.CheckName(name) != nil {
			return
		}
		want := naiveMatch(strings.Split(filter, "/"), strings.Split(name, "/"))
		if name[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
			want = false
		}
		require.Equal(t, want, mqtt.Match(filter, name))
	})
}

func BenchmarkCheckName(b *testing.B) {
	name := []byte("fieldgate/meter-12/power")
	b.ReportAllocs()
	for b.Loop() {
		if mqtt.CheckName(name) != nil {
			b.Fatal("refused")
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mqtt.Match("fieldgate/+/power", "fieldgate/meter-12/power")
	}
}
