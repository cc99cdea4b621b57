package ordered_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/internal/ordered"
)

func TestParse_KeepsOrderAndNumbers(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", ` { } `, `{}`},
		{"order", `{"b":1,"a":2}`, `{"b":1,"a":2}`},
		{"digits", `{"n":1.10,"m":12345678901234567890}`, `{"n":1.10,"m":12345678901234567890}`},
		{"nested", `{"o":{"z":1,"y":[1, 2]}}`, `{"o":{"z":1,"y":[1, 2]}}`},
		{"signs", `{"<&>":"<&>"}`, `{"<&>":"<&>"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := ordered.Parse([]byte(tt.text))
			require.NoError(t, err)
			require.Equal(t, tt.want, string(o.JSON()))
		})
	}
}

func TestParse_RefusesWhatIsNoObject(t *testing.T) {
	for _, text := range []string{``, `1`, `[]`, `null`} {
		_, err := ordered.Parse([]byte(text))
		require.ErrorIs(t, err, ordered.ErrNoObject, text)
	}
	for _, text := range []string{`{`, `{"a"`, `{"a":1`, `{"a":}`, `{a:1}`} {
		_, err := ordered.Parse([]byte(text))
		require.Error(t, err, text)
	}
}

func TestObject_TellsOfEqualKeys(t *testing.T) {
	o, err := ordered.Parse([]byte(`{"a":1,"b":2,"a":3}`))
	require.NoError(t, err)
	key, repeated := o.Repeated()
	require.True(t, repeated)
	require.Equal(t, "a", key)
	require.Equal(t, `{"a":3,"b":2}`, string(o.Last().JSON()))
	_, repeated = o.Last().Repeated()
	require.False(t, repeated)
}

func TestObject_ChangesMembers(t *testing.T) {
	o, err := ordered.Parse([]byte(`{"a":1,"b":"x","c":3}`))
	require.NoError(t, err)
	shared := o
	o.Remove("b")
	o.Remove("none")
	require.Equal(t, `{"a":1,"c":3}`, string(o.JSON()))
	require.Equal(t, `{"a":1,"b":"x","c":3}`, string(shared.JSON()), "copies keep what they have")
	o.Set("c", json.RawMessage("4"))
	o.Set("d", ordered.Quote(`"`))
	require.Equal(t, `{"a":1,"c":4,"d":"\""}`, string(o.JSON()))
	require.True(t, o.Has("d"))
	require.Equal(t, `"`, o.Text("d"))
	require.Empty(t, o.Text("a"), "a number is no text")
	require.Nil(t, o.Get("none"))
	require.Equal(t, `[1,4]`, string(ordered.List([]json.RawMessage{o.Get("a"), o.Get("c")})))
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{`{"a":1,"b":[{}],"a":"x"}`, `{}`, `{"":null}`, `[`, `{"a":1e5}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := ordered.Parse(text)
		if err != nil {
			return
		}
		again, err := ordered.Parse(o.JSON())
		require.NoError(t, err)
		require.Equal(t, o.JSON(), again.JSON(), "what was read, written again, reads the same")
	})
}
