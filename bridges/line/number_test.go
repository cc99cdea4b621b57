package line_test

import (
	"encoding/json"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/line"
	"fieldgate/internal/fault"
)

func TestNumber_ReadsWhatDevicesPrint(t *testing.T) {
	for _, c := range []struct {
		name, text, decimal, want string
		ok                        bool
	}{
		{"spaces after the sign", "+  12.34", ".", "12.34", true},
		{"spaces around", "  -\t0.5 ", ".", "-0.5", true},
		{"no-break space", "- 7", ".", "-7", true},
		{"leading zeros", "000120", ".", "000120", true},
		{"no digit before the point", ".5", ".", ".5", true},
		{"no digit after the point", "5.", ".", "5.", true},
		{"exponent", "1.5E-03", ".", "1.5E-03", true},
		{"decimal comma", "- 3,14", ",", "-3.14", true},
		{"comma for point", "3,14", ".", "", false},
		{"point for comma", "1.234,5", ",", "", false},
		{"two commas", "1,2,3", ",", "", false},
		{"two numbers", "12 34", ".", "", false},
		{"two signs", "+-1", ".", "", false},
		{"empty", " ", ".", "", false},
		{"sign alone", "-", ".", "", false},
		{"point alone", ".", ".", "", false},
		{"exponent without digits", "1e+", ".", "", false},
		{"two points", "1.2.3", ".", "", false},
		{"hexadecimal", "0x10", ".", "", false},
		{"infinity", "inf", ".", "", false},
		{"not a number", "NaN", ".", "", false},
		{"overload sign of a meter", "O.L", ".", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			digits, ok := line.Numerals{Decimal: c.decimal}.Digits(c.text)
			require.Equal(t, c.ok, ok)
			if ok {
				require.Equal(t, c.want, digits)
			}
		})
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"+  12.34", "-.5e-3", "1 2", "1,5", "- 0", "e", "1e400"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, comma bool) {
		decimal := "."
		if comma {
			decimal = ","
		}
		digits, ok := line.Numerals{Decimal: decimal}.Digits(text)
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			require.ErrorIs(t, err, strconv.ErrRange)
		}
		require.False(t, math.IsNaN(v))
		bare := strings.NewReplacer(" ", "", "\t", "", "\u00a0", "", "+", "", ",", ".").Replace(strings.TrimSpace(text))
		require.Equal(t, bare, strings.ReplaceAll(digits, "+", ""), "no digit is lost or made up")
	})
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"id":"a","link":{"tcp":{"address":"h:1"}},"devices":[{"id":"d","parse":{"regex":"(?P<x>.)"},"points":[{"id":"x","scale":2}]}]}`))
	f.Add([]byte(`{"link":{"serial":{"port":"p","format":"7E1"}},"devices":[{},{"parse":{"regex":"("}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := bridges.Config{ID: "a", Kind: "line", Settings: json.RawMessage(data)}
		kind := line.Kind(&port.Ports{})
		_, err := kind.New(c, slog.New(slog.DiscardHandler))
		for _, e := range fault.All(err) {
			require.NotEqual(t, fault.Internal, e.Code)
		}
		for _, d := range kind.Devices(c) {
			if err == nil {
				require.True(t, bridges.ValidID(d.ID))
				require.NotEmpty(t, d.Points)
			}
		}
	})
}
