package route

import (
	"slices"
	"strings"
	"unsafe"

	"fieldgate/broker/mqtt"
)

// Result is who gets the messages of one topic. Many share it: nobody may change it.
type Result[S comparable] struct {
	Topic       string // the topic name, a copy that may be kept
	Subscribers []Match[S]
	Shared      []Group[S]

	own int // bytes that only this result holds
}

// Match gives who gets messages of the topic name. Each subscriber is in
// Subscribers once; it may be a member of groups beside. See Cache for the hot path.
func (t *Tree[S]) Match(name string) *Result[S] { return t.current.Load().match(name) }

// match walks all matching nodes of a level together, level by level.
func (s *snapshot[S]) match(name string) *Result[S] {
	found := finding[S]{result: Result[S]{Topic: name}}
	var firstHere, firstNext [16]*node[S]
	here, next := append(firstHere[:0], s.root), firstNext[:0]
	isSystem := strings.HasPrefix(name, "$") // not for leading wildcards [v3.1.1 MQTT-4.7.2-1]
	for rest, more := name, true; more && len(here) > 0; {
		var word string
		word, rest, more = strings.Cut(rest, "/")
		next = next[:0]
		for _, n := range here {
			if child := n.words.get(s.seed, word); child != nil {
				next = append(next, child)
			}
			if isSystem {
				continue
			}
			found.add(n.multi)
			if n.plus != nil {
				next = append(next, n.plus)
			}
		}
		here, next = next, here
		isSystem = false
	}
	for _, n := range here {
		found.add(n.multi) // "a/#" matches "a" too [v3.1.1 4.7.1.2]
		found.add(n.exact)
	}
	return found.end()
}

// finding gathers a result. The list of one filter alone is taken as it is.
type finding[S comparable] struct {
	result Result[S]
	lists  int
	place  map[S]int // of each subscriber in the result, when there are many
}

// manySubscribers is the length of a list from which on looking a subscriber up
// costs more than a map does.
const manySubscribers = 16

func (f *finding[S]) add(k *takers[S]) {
	if k == nil {
		return
	}
	f.result.Shared = append(f.result.Shared, k.shared...)
	if len(k.own) == 0 {
		return
	}
	f.lists++
	if f.lists == 1 {
		f.result.Subscribers = k.own
		return
	}
	if f.lists == 2 {
		f.result.Subscribers = slices.Clone(f.result.Subscribers)
	}
	for i := range k.own {
		f.merge(&k.own[i])
	}
}

func (f *finding[S]) merge(m *Match[S]) {
	list := f.result.Subscribers
	i, known := -1, false
	if len(list) < manySubscribers {
		i = indexOf(list, m.Subscriber)
		known = i >= 0
	} else {
		if f.place == nil {
			f.place = make(map[S]int, 2*len(list))
			for at := range list {
				f.place[list[at].Subscriber] = at
			}
		}
		i, known = f.place[m.Subscriber]
	}
	if !known {
		if f.place != nil {
			f.place[m.Subscriber] = len(list)
		}
		f.result.Subscribers = append(list, *m)
		return
	}
	old := &list[i]
	old.QoS = max(old.QoS, m.QoS)
	old.NoLocal = old.NoLocal && m.NoLocal
	old.RetainAsPublished = old.RetainAsPublished || m.RetainAsPublished
	old.IDs = slices.Concat(old.IDs, m.IDs)
}

func (f *finding[S]) end() *Result[S] {
	r := f.result
	r.own = int(unsafe.Sizeof(r)) + len(r.Topic) + cap(r.Shared)*int(unsafe.Sizeof(Group[S]{}))
	if f.lists > 1 {
		r.own += cap(r.Subscribers) * int(unsafe.Sizeof(Match[S]{}))
	}
	// The list may be one that the tree still adds to: no append may reach it.
	r.Subscribers = slices.Clip(r.Subscribers)
	return &r
}

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
}

// NewCache returns an empty cache that holds at most limit bytes of results.
func (t *Tree[S]) NewCache(limit int) *Cache[S] {
	return &Cache[S]{tree: t, results: map[string]*Result[S]{}, limit: limit}
}

// Match gives who gets messages of the topic name; see Tree.Match.
func (c *Cache[S]) Match(name []byte) *Result[S] {
	now := c.refresh()
	if r, ok := c.results[string(name)]; ok {
		return r
	}
	return c.miss(now, string(name))
}

// MatchString is Match for a topic name that is a string.
func (c *Cache[S]) MatchString(name string) *Result[S] {
	now := c.refresh()
	if r, ok := c.results[name]; ok {
		return r
	}
	return c.miss(now, name)
}

func (c *Cache[S]) refresh() *snapshot[S] {
	now := c.tree.current.Load()
	if now.generation != c.generation {
		c.forget()
		c.generation = now.generation
	}
	return now
}

func (c *Cache[S]) forget() {
	clear(c.results)
	c.bytes = 0
}

func (c *Cache[S]) miss(now *snapshot[S], name string) *Result[S] {
	r := now.match(name)
	if r.own > c.limit/4 { // would push all others out
		return r
	}
	if c.bytes+r.own > c.limit {
		c.forget()
	}
	c.results[name] = r
	c.bytes += r.own
	return r
}

// Delivered gives the QoS at which a message published with qos reaches the subscriber.
func (m *Match[S]) Delivered(qos mqtt.QoS) mqtt.QoS { return min(qos, m.QoS) }
