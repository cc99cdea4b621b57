package template_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/sim"
)

// What the manuals print as answers: readings, unstable ones, those out of range, and
// lines that look like a weight and are none.
func TestScales_ReadWhatTheirManualsPrint(t *testing.T) {
	templates, _ := set(t, "")
	for _, c := range []struct {
		template, line            string
		weight, unit, state, code string // code of the weight's error
	}{
		{"and-scale", "ST,+0001.234 kg", "1.234", "kg", "stable", ""},
		{"and-scale", "US,-000007.8  g", "-7.8", "g", "unstable", ""},
		{"and-scale", "QT,+00001234 PC", "1234", "PC", "count", ""},
		{"and-scale", "ST,OK,+0001.234 kg", "1.234", "kg", "stable", ""},
		{"and-scale", "ST,+000.1234oz t", "0.1234", "oz t", "stable", ""},
		{"and-scale", "ST,+00123.4,  g", "123.4", "g", "stable", ""},
		{"and-scale", "OL,+9999999E+19", "", "", "", "overload"},
		{"and-scale", "OL,+999999.9  g", "", "", "", "overload"},
		{"mettler-toledo-sics", "S S     100.00 g", "100", "g", "stable", ""},
		{"mettler-toledo-sics", "S D      -0.5 kg", "-0.5", "kg", "unstable", ""},
		{"mettler-toledo-sics", "S +", "", "", "", "overload"},
		{"mettler-toledo-sics", "S -", "", "", "", "overload"},
		{"mettler-toledo-sics", "S I", "", "", "", "parse"},
		{"ohaus-scale", "    192.21 g      ", "192.21", "g", "stable", ""},
		{"ohaus-scale", "-     0.01 g    ? ", "-0.01", "g", "unstable", ""},
		{"ohaus-scale", "    12.345 kg    ?NET", "12.345", "kg", "unstable", ""},
		{"ohaus-scale", "    12.345 kg     B/G", "12.345", "kg", "stable", ""},
		{"ohaus-scale", "     2.500 kg     T  ", "", "", "", "parse"},
	} {
		t.Run(fmt.Sprintf("%s %q", c.template, c.line), func(t *testing.T) {
			t.Parallel()
			d, known := templates.Get(c.template)
			require.True(t, known)
			pty, err := sim.NewPTY("")
			require.NoError(t, err)
			run(t, func(ctx context.Context) { _ = sim.ServeAnswers(ctx, pty, '\n', []string{c.line + "\r\n"}) })
			told := func(list []bridges.Reading) bool { // what stands in no line stays untold: a scale out of range names no unit
				return slices.ContainsFunc(list, func(r bridges.Reading) bool { return r.Point == "weight" && r.Error != bridges.ErrNoValueYet })
			}
			got := watch(t, d, fmt.Sprintf(`{"serial":{"port":%q}}`, pty.Path()), told)
			require.Equal(t, c.code, got["weight"].Error)
			for point, want := range map[string]string{"weight": c.weight, "unit": c.unit, "state": c.state} {
				if c.code == "" {
					require.Equal(t, want, got[point].Value.String(), point)
				}
			}
		})
	}
}
