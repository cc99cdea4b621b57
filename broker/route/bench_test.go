package route_test

import (
	"fmt"
	"testing"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/route"
)

// hundredThousand has 100,000 filters, a tenth of them with wildcards.
func hundredThousand() *route.Tree[int] {
	tree := route.New[int]()
	for n := range 100_000 {
		filter := fmt.Sprintf("site/%d/meter/%d/power", n%100, n)
		if n%10 == 0 {
			filter = fmt.Sprintf("site/+/meter/%d/#", n)
		}
		tree.Subscribe(n, mqtt.Subscription{Filter: filter, QoS: 1})
	}
	return tree
}

func BenchmarkMatch_CacheHit(b *testing.B) {
	tree := hundredThousand()
	cache := tree.NewCache(1 << 20)
	name := []byte("site/77/meter/77/power")
	b.ReportAllocs()
	for b.Loop() {
		cache.Match(name)
	}
}

func BenchmarkMatch_MissAmong100000Filters(b *testing.B) {
	tree := hundredThousand()
	b.ReportAllocs()
	for b.Loop() {
		tree.Match("site/77/meter/77/power")
	}
}

// Topics hardly come twice, so that each is a walk through memory that no cache of the processor holds.
func BenchmarkMatch_ManyTopicsAmong100000Filters(b *testing.B) {
	tree := hundredThousand()
	for _, last := range []string{"power", "none"} {
		var names [][]byte
		for i := range 1 << 16 {
			n := i * 7919 % 100_000
			names = append(names, fmt.Appendf(nil, "site/%d/meter/%d/%s", n%100, n, last))
		}
		b.Run(last, func(b *testing.B) {
			cache := tree.NewCache(1 << 18)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				cache.Match(names[i%len(names)])
			}
		})
	}
}

func BenchmarkMatch_FanOut100(b *testing.B) {
	for _, overlapping := range []bool{false, true} {
		tree := route.New[int]()
		for n := range 100 {
			tree.Subscribe(n, mqtt.Subscription{Filter: "site/1/power"})
			if overlapping {
				tree.Subscribe(n, mqtt.Subscription{Filter: "site/+/power"})
			}
		}
		b.Run(fmt.Sprintf("overlapping=%v", overlapping), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for i := range tree.Match("site/1/power").Subscribers {
					_ = i
				}
			}
		})
	}
}

func BenchmarkSubscribe_Among100000Filters(b *testing.B) {
	tree := hundredThousand()
	b.ReportAllocs()
	for b.Loop() {
		tree.Subscribe(-1, mqtt.Subscription{Filter: "site/1/meter/new/power"})
		tree.Unsubscribe(-1, "site/1/meter/new/power")
	}
}

func BenchmarkSubscribe_SameFilter10000Times(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		tree := route.New[int]()
		for n := range 10_000 {
			tree.Subscribe(n, mqtt.Subscription{Filter: "all/#"})
		}
	}
}

func BenchmarkRetained(b *testing.B) {
	r := route.NewRetained()
	for n := range 50_000 {
		r.Set(&mqtt.Message{Topic: fmt.Sprintf("site/%d/meter/%d", n%100, n), Payload: []byte("230.1")})
	}
	m := &mqtt.Message{Topic: "site/1/meter/101", Payload: []byte("230.2")}
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Set(m)
		}
	})
	for _, filter := range []string{"#", "site/1/meter/101", "site/+/meter/101", "site/1/#"} {
		b.Run("match "+filter, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for range r.Match(filter) {
				}
			}
		})
	}
}

func BenchmarkRemove_SameFilter10000Times(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		tree := route.New[int]()
		for n := range 10_000 {
			tree.Subscribe(n, mqtt.Subscription{Filter: "all/#"})
		}
		b.StartTimer()
		for n := range 10_000 {
			tree.Unsubscribe(n, "all/#")
		}
	}
}
