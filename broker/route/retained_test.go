package route_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/route"
)

func topics(r *route.Retained, filter string) []string {
	list := []string{}
	for m := range r.Match(filter) {
		list = append(list, m.Topic)
	}
	slices.Sort(list)
	return list
}

func TestRetained_CountsMessagesAndBytes(t *testing.T) {
	r := route.NewRetained()
	r.Set(&mqtt.Message{Topic: "a/b", Payload: []byte("123"), Props: mqtt.Properties{1, 1}})
	require.Equal(t, int64(8), r.Bytes())
	r.Set(&mqtt.Message{Topic: "a/b", Payload: []byte("1")})
	require.Equal(t, int64(4), r.Bytes())
	require.Equal(t, 1, r.Len())
	require.Equal(t, "1", string(r.Get("a/b").Payload))
	require.Nil(t, r.Get("a"))
	require.False(t, r.Delete("a"))
	r.Set(&mqtt.Message{Topic: "a/b"})
	require.Zero(t, r.Len())
	require.Zero(t, r.Bytes())
	require.Empty(t, topics(r, "#"))
}

func TestRetained_ChangesWhileItIsRead(t *testing.T) {
	r := route.NewRetained()
	for n := range 10 {
		r.Set(&mqtt.Message{Topic: fmt.Sprintf("t/%d", n), Payload: []byte("x")})
	}
	seen := 0
	for m := range r.Match("t/+") {
		seen++
		require.True(t, r.Delete(m.Topic))
	}
	require.Equal(t, 10, seen)
	require.Zero(t, r.Len())
}

func TestRetained_AgreesWithANaiveMatcher(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "b", "", "$s"})
	level := rapid.SampledFrom([]string{"a", "b", "", "$s", "+"})
	name := rapid.Map(rapid.SliceOfN(word, 2, 4), func(w []string) string { return strings.Join(w, "/") })
	filter := rapid.Custom(func(t *rapid.T) string {
		words := rapid.SliceOfN(level, 1, 4).Draw(t, "words")
		if rapid.Bool().Draw(t, "multi") {
			words[len(words)-1] = "#"
		}
		return strings.Join(words, "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		r := route.NewRetained()
		naive := map[string]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				topic := name.Draw(t, "topic")
				r.Set(&mqtt.Message{Topic: topic, Payload: []byte("x")})
				naive[topic] = true
			},
			"delete": func(t *rapid.T) {
				topic := name.Draw(t, "topic")
				require.Equal(t, naive[topic], r.Delete(topic))
				delete(naive, topic)
			},
			"match": func(t *rapid.T) {
				f := filter.Draw(t, "filter")
				want := []string{}
				for topic := range naive {
					if mqtt.Match(f, topic) {
						want = append(want, topic)
					}
				}
				slices.Sort(want)
				require.Equal(t, want, topics(r, f))
			},
			"": func(t *rapid.T) { require.Equal(t, len(naive), r.Len()) },
		})
	})
}

func TestRetained_TakesReadersAndWritersAtOnce(t *testing.T) {
	r := route.NewRetained()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := range 300 {
				topic := fmt.Sprintf("t/%d/%d", worker, n%10)
				r.Set(&mqtt.Message{Topic: topic, Payload: []byte("x")})
				topics(r, "t/+/3")
				topics(r, "#")
				r.Get(topic)
				r.Delete(topic)
			}
		})
	}
	all.Wait()
	require.Zero(t, r.Len())
}

func TestRetained_HasRoomForWhatTakesAPlace(t *testing.T) {
	r := route.NewRetained()
	r.Set(&mqtt.Message{Topic: "$SYS/x", Payload: make([]byte, 1000)})
	r.Set(&mqtt.Message{Topic: "a", Payload: make([]byte, 9)})
	r.Set(&mqtt.Message{Topic: "b", Payload: make([]byte, 49)})
	r.Set(&mqtt.Message{Topic: "b", Payload: make([]byte, 29)})
	for _, c := range []struct {
		name, topic  string
		bytes        int64
		mostMessages int
		mostBytes    int64
		want         bool
	}{
		{"room for both", "c", 10, 3, 50, true},
		{"too many", "c", 10, 2, 50, false},
		{"too large", "c", 11, 3, 50, false},
		{"in its place", "a", 10, 2, 50, true},
		{"in its place, smaller, where there is too much", "a", 9, 1, 20, true},
		{"in its place, too large", "a", 11, 2, 50, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, r.HasRoom([]byte(c.topic), c.bytes, c.mostMessages, c.mostBytes))
		})
	}
	r.Delete("b")
	require.True(t, r.HasRoom([]byte("c"), 40, 2, 50))
	require.EqualValues(t, 1006+10, r.Bytes())
}
