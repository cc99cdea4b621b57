package route

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
