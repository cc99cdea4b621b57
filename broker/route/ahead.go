package route

import "hash/maphash"

// AheadMost is how many names Cache.Ahead takes at once.
const AheadMost = 8

// ahead is what a cache has found for the names that come next.
type ahead[S comparable] struct {
	list      [AheadMost]expected[S]
	next, len int
}

// expected is a name that comes soon.
type expected[S comparable] struct {
	name   []byte
	hash   uint64
	slot   *slot[*takers[S]]
	plain  *takers[S] // who has subscribed to the name itself
	own    roster[S]
	first  S
	result Result[S]
}

// WantsAhead tells whether Ahead is of use: topics hardly come twice.
func (c *Cache[S]) WantsAhead() bool { return c.cold }

// Ahead tells the cache which names come next, in the order in which Match will be asked for them; it
// takes AheadMost at most. Where topics hardly come twice the time goes into waiting for memory, and the
// processor waits for that of several names at once when nothing else lies between them. The names must
// not change until then; who asks for others, or for none, does no harm, and a name needs no check before.
// Without names it only lets go of those that it was told of before.
func (c *Cache[S]) Ahead(names [][]byte) {
	a := &c.ahead
	a.forget()
	if len(names) == 0 {
		return
	}
	now := c.refresh()
	a.len = min(len(names), AheadMost)
	list := a.list[:a.len]
	// Each loop asks the memory for one thing of every name.
	for i := range list {
		list[i].name = names[i]
		list[i].hash = maphash.Bytes(now.seed, names[i])
	}
	for i := range list {
		list[i].slot = now.plain.slot(list[i].hash, view(list[i].name))
	}
	for i := range list {
		e := &list[i]
		if e.slot != nil && e.slot.word == view(e.name) {
			e.plain = e.slot.value
		}
	}
	for i := range list {
		if e := &list[i]; e.plain != nil {
			e.own = e.plain.own
		}
	}
	for i := range list {
		if e := &list[i]; e.own.len > 0 {
			e.first = e.own.last[0].Subscriber
		}
	}
	for i := range list {
		if e := &list[i]; !isSample(e.hash) {
			c.fill(now, view(e.name), e.plain, &e.result)
		}
	}
}

// take gives the result for the name when Ahead was told of these very bytes, else nil. The names before it are over.
func (a *ahead[S]) take(name []byte) *Result[S] {
	for i := a.next; i < a.len; i++ {
		e := &a.list[i]
		if len(name) > 0 && len(name) == len(e.name) && &name[0] == &e.name[0] {
			a.next = i + 1
			if isSample(e.hash) {
				return nil
			}
			return &e.result
		}
	}
	return nil
}

// forget drops all results, and what they keep alive.
func (a *ahead[S]) forget() {
	clear(a.list[:a.len])
	a.next, a.len = 0, 0
}
