package route_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/route"
)

// chilled gives a cache that has seen so many topics that it keeps few of them.
func chilled(t require.TestingT, tree *route.Tree[int]) *route.Cache[int] {
	cache := tree.NewCache(1 << 20)
	for i := 0; !cache.WantsAhead(); i++ {
		require.Less(t, i, 10_000)
		cache.Match(fmt.Appendf(nil, "cold/%d", i))
	}
	return cache
}

func TestCache_AheadGivesWhatMatchGives(t *testing.T) {
	filters := rapid.SampledFrom([]string{"a/b", "a/+", "a/#", "+/b", "#", "a", "c/d/e", "a/b/c", "$x/b", "b/1", "b/2", "b/3", "b/+"})
	topics := rapid.SampledFrom([]string{"a/b", "a", "a/b/c", "c/d/e", "$x/b", "x", "b/1", "b/2", "b/3", "b/4", "", "/", "a//b", "a/+"})
	rapid.Check(t, func(t *rapid.T) {
		tree := route.New[int]()
		cache := chilled(t, tree)
		cache.Only(func(name string, s int) bool { return name != "b/3" || s != 3 })
		subscribe := func() {
			tree.Subscribe(rapid.IntRange(1, 5).Draw(t, "subscriber"), mqtt.Subscription{Filter: filters.Draw(t, "filter")})
		}
		for range rapid.IntRange(0, 8).Draw(t, "filters") {
			subscribe()
		}
		var names [][]byte
		for range rapid.IntRange(0, route.AheadMost+2).Draw(t, "names") {
			names = append(names, []byte(topics.Draw(t, "topic")))
		}
		cache.Ahead(names)
		for _, name := range names {
			switch rapid.IntRange(0, 5).Draw(t, "meanwhile") {
			case 0:
				subscribe()
			case 1:
				cache.Match([]byte("a/b")) // that nobody was told of
			case 2:
				continue // denied, for instance
			case 3:
				name = append([]byte(nil), name...) // the same name elsewhere
			}
			got := cache.Match(name)
			fresh := tree.NewCache(1 << 20)
			fresh.Only(func(name string, s int) bool { return name != "b/3" || s != 3 })
			want := fresh.Match(name)
			require.ElementsMatch(t, want.Subscribers, got.Subscribers, "%q", name)
		}
	})
}

func TestCache_WarmsUpAgain(t *testing.T) {
	tree := route.New[int]()
	tree.Subscribe(1, mqtt.Subscription{Filter: "few/#"})
	cache := chilled(t, tree)
	var names [][]byte
	for i := range 100 {
		names = append(names, fmt.Appendf(nil, "few/%d", i))
	}
	for i := 0; cache.WantsAhead(); i += 2 {
		require.Less(t, i, 1_000_000, "topics that come again and again are kept some day")
		next := [][]byte{names[i%100], names[(i+1)%100]}
		cache.Ahead(next)
		for _, name := range next {
			require.Len(t, cache.Match(name).Subscribers, 1)
		}
	}
}

// TestCache_StaysColdWhileTopicsAreTooMany shows that the few topics that a cold cache looks at don't stand for room for all.
func TestCache_StaysColdWhileTopicsAreTooMany(t *testing.T) {
	tree := route.New[int]()
	cache := tree.NewCache(32 << 10)
	var names [][]byte
	for i := range 2000 {
		names = append(names, fmt.Appendf(nil, "many/%d", i))
	}
	warm := 0
	for i := range 100_000 {
		cache.Match(names[i%len(names)])
		if i > 20_000 && !cache.WantsAhead() {
			warm++
		}
	}
	require.Zero(t, warm)
}
