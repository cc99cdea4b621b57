package route

import (
	"hash/maphash"
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
	cold          bool      // topics hardly come twice, or are too many: to keep them all would cost more than it saves
	once          Result[S] // what is not kept
	ahead         ahead[S]
}

// How a cache finds out whether it is worth while.
const (
	cacheRound = 1024 // look-ups
	coldKeeps  = 8    // a cold cache keeps the results of one topic in so many, to see whether topics come again
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
// valid until the next call of Match or Ahead.
func (c *Cache[S]) Match(name []byte) *Result[S] {
	now := c.refresh()
	if r := c.ahead.take(name); r != nil {
		return r
	}
	if c.cold {
		// Most topics are not even looked for among the results.
		if hash := maphash.Bytes(now.seed, name); !isSample(hash) {
			c.fill(now, view(name), now.plain.find(hash, view(name)), &c.once)
			return &c.once
		}
	}
	if c.looked++; c.looked > cacheRound {
		c.judge()
	}
	if r, ok := c.results[string(name)]; ok {
		c.found++
		return r
	}
	return c.miss(now, view(name))
}

// judge decides at the end of a round whether all results are worth keeping.
func (c *Cache[S]) judge() {
	// A cold cache holds a part of the topics: all of them would have to fit too.
	c.cold = c.found*2 < c.looked || c.cold && c.bytes*coldKeeps > c.limit
	c.looked, c.found = 0, 0
}

// isSample tells whether a topic name with the hash is one of those by which a cold cache sees whether topics come again.
func isSample(hash uint64) bool { return hash%coldKeeps == 0 }

// view gives the name as a string without a copy: the walk wants a string and keeps none.
func view(name []byte) string { return unsafe.String(unsafe.SliceData(name), len(name)) }

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
	c.ahead.forget()
}

// miss makes a result and keeps it.
func (c *Cache[S]) miss(now *snapshot[S], name string) *Result[S] {
	r := &Result[S]{}
	c.fill(now, name, now.plain.get(now.seed, name), r)
	if r.own > c.limit/4 { // it would push all others out
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

// fill makes the result for the name, which plain have subscribed to.
func (c *Cache[S]) fill(now *snapshot[S], name string, plain *takers[S], into *Result[S]) {
	now.match(name, plain, into)
	if c.may != nil {
		into.only(name, c.may)
	}
	into.own += len(name)
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
