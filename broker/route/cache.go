package route

import (
	"slices"
	"strings"
	"unsafe"
)

// Cache keeps the results of a Tree for the topics that one goroutine publishes
// to, so that a message costs one look-up, no lock and no allocation. It forgets
// all of them when a subscription changes. A Cache must be used by one goroutine
// at a time; it belongs beside the buffer that a connection takes from a pool when
// it has something to read, so that there are as many as busy connections.
type Cache[S comparable] struct {
	tree       *Tree[S]
	generation uint64
	results    map[string]*Result[S]
	bytes      int
	limit      int
	may        func(name string, s S) bool // nil for everybody

	looked, found int       // look-ups of this round, and those that were in results
	cold          bool      // topics hardly come twice: to keep them all would cost more than it saves
	once          Result[S] // what is not kept
}

// How a cache finds out whether it is worth while.
const (
	cacheRound = 1024 // look-ups
	coldKeeps  = 8    // a cold cache keeps one result in so many, to see whether topics come again
)

// NewCache returns an empty cache that holds at most limit bytes of results.
func (t *Tree[S]) NewCache(limit int) *Cache[S] {
	return &Cache[S]{tree: t, results: map[string]*Result[S]{}, limit: limit}
}

// Only leaves those out of the results that may not have the messages of a topic.
// What may says is kept with the result until Forget; it must not keep the name.
func (c *Cache[S]) Only(may func(name string, s S) bool) {
	c.may = may
	c.Forget()
}

// Match gives who gets messages of the topic name, as Tree.Match does; the result is
// valid until the next call.
func (c *Cache[S]) Match(name []byte) *Result[S] {
	now := c.refresh()
	c.looked++
	if r, ok := c.results[string(name)]; ok {
		c.found++
		return r
	}
	// The walk wants a string and keeps none, so what is not remembered needs no copy.
	return c.miss(now, unsafe.String(unsafe.SliceData(name), len(name)))
}

func (c *Cache[S]) refresh() *snapshot[S] {
	now := c.tree.current.Load()
	if now.generation != c.generation {
		c.Forget()
		c.generation = now.generation
	}
	return now
}

// Forget drops all results.
func (c *Cache[S]) Forget() {
	clear(c.results)
	c.bytes = 0
}

func (c *Cache[S]) miss(now *snapshot[S], name string) *Result[S] {
	if c.looked >= cacheRound {
		c.cold = c.found*2 < c.looked
		c.looked, c.found = 0, 0
	}
	r := &c.once
	keep := !c.cold || c.looked%coldKeeps == 0
	if keep {
		r = &Result[S]{}
	}
	now.match(name, r)
	if c.may != nil {
		r.only(name, c.may)
	}
	r.own += len(name)
	if !keep || r.own > c.limit/4 { // a large one would push all others out
		return r
	}
	name = strings.Clone(name)
	r.Topic = name
	if c.bytes+r.own > c.limit {
		c.Forget()
	}
	c.results[name] = r
	c.bytes += r.own
	return r
}

// only leaves out those who may not have the messages of the topic name.
func (r *Result[S]) only(name string, may func(name string, s S) bool) {
	all := len(r.Subscribers)
	r.Subscribers = permitted(r.Subscribers, name, may)
	gone, size := len(r.Subscribers) < all, cap(r.Subscribers)
	var left []Group[S]
	for _, g := range r.Shared {
		all := len(g.Members)
		g.Members = permitted(g.Members, name, may)
		gone, size = gone || len(g.Members) < all, size+cap(g.Members)
		if len(g.Members) > 0 {
			left = append(left, g)
		}
	}
	if gone {
		r.Shared = left
		r.own += size * int(unsafe.Sizeof(Match[S]{}))
	}
}

// permitted gives the list itself while nobody has to be left out.
func permitted[S comparable](list []Match[S], name string, may func(name string, s S) bool) []Match[S] {
	for i := range list {
		if may(name, list[i].Subscriber) {
			continue
		}
		left := slices.Clone(list[:i])
		for _, m := range list[i+1:] {
			if may(name, m.Subscriber) {
				left = append(left, m)
			}
		}
		return left
	}
	return list
}
