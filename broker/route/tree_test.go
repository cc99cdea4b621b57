package route_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/route"
)

func subscribers(r *route.Result[string]) []string {
	names := []string{}
	for _, m := range r.Subscribers {
		names = append(names, m.Subscriber)
	}
	slices.Sort(names)
	return names
}

func TestTree_MatchesAsTheSpecificationSays(t *testing.T) {
	tests := []struct {
		filter, name string
		want         bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/tennis/player1/#", "sport/tennis/player2", false},
		{"sport/#", "sport", true},
		{"sport/#", "sports", false},
		{"#", "a/b/c", true},
		{"#", "/", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+", "sport", true},
		{"+", "/finance", false},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+/tennis/#", "sport/tennis", true},
		{"a//b", "a//b", true},
		{"a//b", "a/b", false},
		{"a/+/b", "a//b", true},
		{"#", "$SYS/uptime", false},
		{"+/uptime", "$SYS/uptime", false},
		{"$SYS/#", "$SYS/uptime", true},
		{"$SYS/+", "$SYS/uptime", true},
		{"$SYS/#", "$SYS", true},
		{"a/#", "a/$b", true},
		{"a/+", "a/$b", true},
		{"ACCOUNTS", "Accounts", false},
	}
	for _, test := range tests {
		t.Run(test.filter+" "+test.name, func(t *testing.T) {
			tree := route.New[string]()
			require.True(t, tree.Subscribe("s", mqtt.Subscription{Filter: test.filter}))
			require.Equal(t, test.want, len(tree.Match(test.name).Subscribers) == 1)
			require.Equal(t, test.want, mqtt.Match(test.filter, test.name))
			retained := route.NewRetained()
			retained.Set(&mqtt.Message{Topic: test.name, Payload: []byte("x")})
			require.Equal(t, test.want, len(slices.Collect(retained.Match(test.filter))) == 1)
		})
	}
}

func TestTree_MergesOverlappingSubscriptions(t *testing.T) {
	tree := route.New[string]()
	tree.Subscribe("a", mqtt.Subscription{Filter: "x/#", QoS: 1, NoLocal: true, ID: 7})
	tree.Subscribe("a", mqtt.Subscription{Filter: "x/+", QoS: 0, NoLocal: true})
	tree.Subscribe("b", mqtt.Subscription{Filter: "x/#", QoS: 2, NoLocal: true})
	tree.Subscribe("a", mqtt.Subscription{Filter: "x/y", QoS: 2, RetainAsPublished: true, ID: 9})

	r := tree.Match("x/y")
	require.Equal(t, []string{"a", "b"}, subscribers(r))
	a := r.Subscribers[slices.IndexFunc(r.Subscribers, func(m route.Match[string]) bool { return m.Subscriber == "a" })]
	slices.Sort(a.IDs)
	require.Equal(t, route.Match[string]{Subscriber: "a", QoS: 2, RetainAsPublished: true, IDs: []uint32{7, 9}}, a)

	a = tree.Match("x/z").Subscribers[0]
	require.True(t, a.NoLocal, "all of its subscriptions ask for it")
	require.Equal(t, []uint32{7}, a.IDs, "merging must not change what the tree holds")
}

func TestTree_MergesManySubscribers(t *testing.T) {
	tree := route.New[int]()
	for s := range 1000 {
		tree.Subscribe(s, mqtt.Subscription{Filter: "a/#"})
		tree.Subscribe(s+500, mqtt.Subscription{Filter: "a/+", QoS: 1})
	}
	r := tree.Match("a/b")
	require.Len(t, r.Subscribers, 1500)
	seen := map[int]mqtt.QoS{}
	for _, m := range r.Subscribers {
		seen[m.Subscriber] = m.QoS
	}
	require.Len(t, seen, 1500)
	require.Equal(t, mqtt.AtMostOnce, seen[499])
	require.Equal(t, mqtt.AtLeastOnce, seen[500])
}

func TestTree_KeepsManySubscribersOfOneFilter(t *testing.T) {
	tree := route.New[int]()
	want := map[int]bool{}
	for n := range 1000 {
		require.True(t, tree.Subscribe(n, mqtt.Subscription{Filter: "all"}))
		want[n] = true
	}
	before := tree.Match("all")
	for n := range 3000 {
		who := n * 7919 % 1500
		if n%3 == 0 {
			require.Equal(t, !want[who], tree.Subscribe(who, mqtt.Subscription{Filter: "all", QoS: 1}))
			want[who] = true
		} else {
			require.Equal(t, want[who], tree.Unsubscribe(who, "all"))
			delete(want, who)
		}
	}
	got := map[int]bool{}
	for _, m := range tree.Match("all").Subscribers {
		got[m.Subscriber] = true
	}
	require.Equal(t, want, got)
	require.Equal(t, len(want), tree.Len())
	require.Len(t, before.Subscribers, 1000, "a result does not change")
	for n, m := range before.Subscribers {
		require.Equal(t, route.Match[int]{Subscriber: n}, m)
	}
}

func TestTree_ReplacesASubscription(t *testing.T) {
	tree := route.New[string]()
	require.True(t, tree.Subscribe("a", mqtt.Subscription{Filter: "x", QoS: 0}))
	before := tree.Match("x")
	require.False(t, tree.Subscribe("a", mqtt.Subscription{Filter: "x", QoS: 2}))
	require.Equal(t, 1, tree.Len())
	require.Equal(t, mqtt.ExactlyOnce, tree.Match("x").Subscribers[0].QoS)
	require.Equal(t, mqtt.AtMostOnce, before.Subscribers[0].QoS)
}

func TestTree_RemovesWhatIsThere(t *testing.T) {
	tree := route.New[string]()
	filters := []string{"#", "a", "a/#", "a/+/c", "$share/g/a"}
	for _, filter := range filters {
		tree.Subscribe("s", mqtt.Subscription{Filter: filter})
		tree.Subscribe("other", mqtt.Subscription{Filter: filter})
	}
	require.False(t, tree.Unsubscribe("s", "b"))
	require.False(t, tree.Unsubscribe("s", "$share/h/a"))
	require.False(t, tree.Unsubscribe("nobody", "a"))
	require.True(t, tree.Unsubscribe("s", "a"))
	require.False(t, tree.Unsubscribe("s", "a"))
	require.Equal(t, 4, tree.RemoveAll("s", filters...))
	require.Equal(t, 5, tree.Len())
	require.Equal(t, []string{"other"}, subscribers(tree.Match("a")))
	require.Equal(t, 5, tree.RemoveAll("other", filters...))
	require.Zero(t, tree.Len())
	require.Empty(t, tree.Match("a").Subscribers)
	require.Empty(t, tree.Match("a").Shared)
}

func TestTree_KeepsGroupsApart(t *testing.T) {
	tree := route.New[string]()
	tree.Subscribe("a", mqtt.Subscription{Filter: "$share/g/x/+", QoS: 1})
	tree.Subscribe("b", mqtt.Subscription{Filter: "$share/g/x/+", QoS: 2})
	tree.Subscribe("b", mqtt.Subscription{Filter: "$share/h/x/#"})
	tree.Subscribe("a", mqtt.Subscription{Filter: "x/y"})

	r := tree.Match("x/y")
	require.Equal(t, []string{"a"}, subscribers(r))
	require.Len(t, r.Shared, 2)
	g := &r.Shared[slices.IndexFunc(r.Shared, func(g route.Group[string]) bool { return g.Name == "g" })]
	require.Equal(t, "x/+", g.Filter)
	require.Len(t, g.Members, 2)
	count := map[int]int{}
	for range 10 {
		count[g.Pick()]++
	}
	require.Equal(t, map[int]int{0: 5, 1: 5}, count)

	require.True(t, tree.Unsubscribe("a", "$share/g/x/+"))
	require.True(t, tree.Unsubscribe("b", "$share/g/x/+"))
	require.Len(t, tree.Match("x/y").Shared, 1)
	require.Len(t, g.Members, 2, "a result does not change")
}

func TestTree_TakesTheDeepestTopic(t *testing.T) {
	slashes := strings.Repeat("/", 65535)
	words := strings.Repeat("a/", 32767) + "a"
	plus := strings.Repeat("+/", 32767) + "+"
	filters := []string{slashes, slashes[:65534] + "#", words, plus, "#"}
	tree := route.New[int]()
	for i, filter := range filters {
		require.NoError(t, mqtt.CheckFilter(filter))
		require.True(t, tree.Subscribe(i, mqtt.Subscription{Filter: filter}))
	}
	who := func(name string) (list []int) {
		for _, m := range tree.Match(name).Subscribers {
			list = append(list, m.Subscriber)
		}
		slices.Sort(list)
		return list
	}
	require.Equal(t, []int{0, 1, 4}, who(slashes))
	require.Equal(t, []int{2, 3, 4}, who(words))
	for i, filter := range filters {
		require.True(t, tree.Unsubscribe(i, filter))
	}
	require.Nil(t, who(slashes))

	retained := route.NewRetained()
	retained.Set(&mqtt.Message{Topic: slashes, Payload: []byte("x")})
	require.True(t, 1 == len(slices.Collect(retained.Match("#"))))
	require.True(t, retained.Delete(slashes))
}

// TestTree_AgreesWithANaiveMatcher does random changes and asks the tree, a cache
// and a list with mqtt.Match.
func TestTree_AgreesWithANaiveMatcher(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "b", "", "$s"})
	topic := rapid.Map(rapid.SliceOfN(word, 1, 4), func(w []string) string { return strings.Join(w, "/") }).
		Filter(func(s string) bool { return s != "" })
	filter := rapid.Custom(func(t *rapid.T) string {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "$s", "+"}), 0, 4).Draw(t, "words")
		if len(words) == 0 || rapid.Bool().Draw(t, "multi") {
			words = append(words, "#")
		}
		if s := strings.Join(words, "/"); s != "" {
			return s
		}
		return "/"
	})
	type subscription struct {
		who    int
		filter string
	}
	rapid.Check(t, func(t *rapid.T) {
		tree := route.New[int]()
		cache := tree.NewCache(4096)
		naive := map[subscription]mqtt.QoS{}
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				s := subscription{rapid.IntRange(0, 40).Draw(t, "who"), filter.Draw(t, "filter")}
				qos := mqtt.QoS(rapid.IntRange(0, 2).Draw(t, "qos"))
				_, there := naive[s]
				require.Equal(t, !there, tree.Subscribe(s.who, mqtt.Subscription{Filter: s.filter, QoS: qos}))
				naive[s] = qos
			},
			"unsubscribe": func(t *rapid.T) {
				s := subscription{rapid.IntRange(0, 40).Draw(t, "who"), filter.Draw(t, "filter")}
				_, there := naive[s]
				require.Equal(t, there, tree.Unsubscribe(s.who, s.filter))
				delete(naive, s)
			},
			"match": func(t *rapid.T) {
				name := topic.Draw(t, "name")
				want := map[int]mqtt.QoS{}
				for s, qos := range naive {
					if mqtt.Match(s.filter, name) {
						want[s.who] = max(want[s.who], qos)
					}
				}
				exact, cached := tree.Match(name), cache.Match([]byte(name))
				require.Equal(t, name, exact.Topic)
				require.Contains(t, []string{name, ""}, cached.Topic, "none when it is too large to be kept")
				for _, r := range []*route.Result[int]{exact, cached} {
					got := map[int]mqtt.QoS{}
					for _, m := range r.Subscribers {
						got[m.Subscriber] = m.QoS
					}
					require.Equal(t, want, got)
					require.Len(t, r.Subscribers, len(want), "each once")
				}
			},
			"": func(t *rapid.T) { require.Equal(t, len(naive), tree.Len()) },
		})
	})
}

// isWhole checks that the subscribers are 0 and those after it: n goes in after and comes out before n-1.
func isWhole(t *testing.T, r *route.Result[int]) bool {
	for i, m := range r.Subscribers {
		if m.Subscriber != i {
			t.Errorf("subscriber %d at %d", m.Subscriber, i)
			return false
		}
	}
	return true
}

func TestTree_ReadersSeeEachChangeWhole(t *testing.T) {
	tree := route.New[int]()
	var stop atomic.Bool
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			cache := tree.NewCache(1 << 16)
			for !stop.Load() && isWhole(t, cache.Match([]byte("a/b/c"))) && isWhole(t, tree.Match("a/b/c")) {
			}
		})
	}
	for range 200 {
		for n := range 20 {
			tree.Subscribe(n, mqtt.Subscription{Filter: "a/b/c"})
			tree.Subscribe(n, mqtt.Subscription{Filter: fmt.Sprintf("a/b/%d", n)})
		}
		for n := range 20 {
			require.Equal(t, 2, tree.RemoveAll(19-n, "a/b/c", fmt.Sprintf("a/b/%d", 19-n)))
		}
	}
	stop.Store(true)
	readers.Wait()
}

func TestCache_SeesAChangeAtOnce(t *testing.T) {
	tree := route.New[string]()
	cache := tree.NewCache(1 << 16)
	require.Empty(t, cache.Match([]byte("x")).Subscribers)
	tree.Subscribe("a", mqtt.Subscription{Filter: "x"})
	require.Len(t, cache.Match([]byte("x")).Subscribers, 1)
	tree.Unsubscribe("a", "x")
	require.Empty(t, cache.Match([]byte("x")).Subscribers)
}

func TestCache_AllocatesNothingOnAHit(t *testing.T) {
	tree := route.New[string]()
	tree.Subscribe("a", mqtt.Subscription{Filter: "a/long/topic/name/of/more/than/32/bytes"})
	cache := tree.NewCache(1 << 16)
	name := []byte("a/long/topic/name/of/more/than/32/bytes")
	require.Len(t, cache.Match(name).Subscribers, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() { cache.Match(name) }))
}

func TestCache_StaysWithinItsLimit(t *testing.T) {
	tree := route.New[string]()
	cache := tree.NewCache(2000)
	first := cache.Match([]byte("topic 0"))
	for n := range 100 {
		require.NotNil(t, cache.Match(fmt.Appendf(nil, "topic %d", n)))
	}
	require.NotSame(t, first, cache.Match([]byte("topic 0")))
	large := strings.Repeat("x", 1000)
	require.NotSame(t, cache.Match([]byte(large)), cache.Match([]byte(large)), "too large to keep")
}

// TestCache_KeepsLittleOfTopicsThatComeOnce: results stay right, and the cache comes back when topics come again.
func TestCache_KeepsLittleOfTopicsThatComeOnce(t *testing.T) {
	tree := route.New[int]()
	tree.Subscribe(1, mqtt.Subscription{Filter: "site/+"})
	tree.Subscribe(2, mqtt.Subscription{Filter: "site/7"})
	cache := tree.NewCache(1 << 20)
	for n := range 10_000 {
		want := 1
		if n == 7 {
			want = 2
		}
		r := cache.Match(fmt.Appendf(nil, "site/%d", n))
		require.Len(t, r.Subscribers, want)
		if r.Topic != "" {
			require.Equal(t, fmt.Sprint("site/", n), r.Topic)
		}
	}
	once := []byte("site/once/00000")
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		once[len(once)-1-rand.IntN(5)] = byte('0' + rand.IntN(10))
		cache.Match(once)
	}), "one in eight is kept")
	name := []byte("site/x")
	for range 100 {
		cache.Match(name)
	}
	require.Same(t, cache.Match(name), cache.Match(name))
	require.Zero(t, testing.AllocsPerRun(100, func() { cache.Match(name) }))
}
