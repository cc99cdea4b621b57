package access

// cacheBytes is how many bytes of topic names a Cache holds at most.
const cacheBytes = 16 << 10

// entryBytes is what a topic counts beside its name.
const entryBytes = 32

// Cache remembers what the Rights of one client say about the topics that it uses,
// so that a decision costs one look-up and no allocation. The zero value is ready;
// it must be used by one goroutine at a time.
type Cache struct {
	rights *Rights
	known  map[string]verbs
	bytes  int
}

// May is r.May for a topic name. Decisions of other Rights than r are forgotten.
func (c *Cache) May(r *Rights, a Action, topic []byte) bool {
	if r == nil {
		return true
	}
	if r == c.rights {
		if v, known := c.known[string(topic)]; known {
			return v&a.verb() != 0
		}
	}
	return c.miss(r, string(topic))&a.verb() != 0
}

// MayString is May for a topic name that is a string.
func (c *Cache) MayString(r *Rights, a Action, topic string) bool {
	if r == nil {
		return true
	}
	if r == c.rights {
		if v, known := c.known[topic]; known {
			return v&a.verb() != 0
		}
	}
	return c.miss(r, topic)&a.verb() != 0
}

func (c *Cache) miss(r *Rights, topic string) verbs {
	v := r.verbs(topic)
	if r != c.rights || c.bytes > cacheBytes {
		c.rights, c.bytes = r, 0
		clear(c.known)
	}
	if len(topic) > cacheBytes/4 { // it would push all others out
		return v
	}
	if c.known == nil {
		c.known = map[string]verbs{}
	}
	c.known[topic] = v
	c.bytes += len(topic) + entryBytes
	return v
}
