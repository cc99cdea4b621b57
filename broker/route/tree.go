// Package route finds who gets a message: the subscription tree with the groups
// of shared subscriptions, and the index of retained messages. It is pure data;
// it must not know sessions, packets, sockets or storage.
package route

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"fieldgate/broker/mqtt"
)

// Tree holds the subscriptions of all subscribers S. All methods may be called at
// the same time: changes wait for each other, readers wait for nobody. A change
// replaces the nodes on the way to its filter and nothing else, so that a reader
// walks a tree that nobody changes.
//
// Topic filters and names must have passed the checks of package mqtt. Time and
// space are linear in the number of levels: whoever takes filters from strangers
// should limit it.
type Tree[S comparable] struct {
	seed    maphash.Seed
	mu      sync.Mutex // held by changes
	current atomic.Pointer[snapshot[S]]
}

// snapshot is the tree at one moment; it never changes.
type snapshot[S comparable] struct {
	seed       maphash.Seed
	generation uint64 // rises with every change
	filters    int
	index[S]
}

// index is all filters: those without a wildcard in one map, so that a topic finds
// its own in one look, the others in a tree by their levels. It never changes.
type index[S comparable] struct {
	plain trie[*takers[S]]
	root  *node[S]
}

// node is one level of the filters that lead here. It never changes.
type node[S comparable] struct {
	words trie[*node[S]]
	plus  *node[S] // the level +
	exact *takers[S]
	multi *takers[S] // of the filters that go on with # alone
}

func (n *node[S]) isEmpty() bool {
	return n.words.len == 0 && n.plus == nil && n.exact == nil && n.multi == nil
}

// takers are the subscribers of one filter.
type takers[S comparable] struct {
	own    roster[S]
	shared []Group[S]
}

// Match is one subscriber of a topic, with what its matching subscriptions ask for together.
type Match[S comparable] struct {
	Subscriber        S
	QoS               mqtt.QoS // the highest
	NoLocal           bool     // all of them ask for it
	RetainAsPublished bool     // one of them asks for it
	IDs               []uint32 // all subscription identifiers, nil for none
}

// Group is a shared subscription: one of its members gets each message.
type Group[S comparable] struct {
	Name    string // the NAME of $share/NAME/FILTER
	Filter  string // its FILTER
	Members []Match[S]
	turn    *atomic.Uint64
}

// Pick gives the index of the member whose turn it is: each in order. A caller
// that can't use it goes on from there with the next, around the end.
func (g *Group[S]) Pick() int {
	return int(g.turn.Add(1) % uint64(len(g.Members)))
}

// New returns an empty tree.
func New[S comparable]() *Tree[S] {
	t := &Tree[S]{seed: maphash.MakeSeed()}
	t.current.Store(&snapshot[S]{seed: t.seed, generation: 1, index: index[S]{root: &node[S]{}}})
	return t
}

// Len gives the number of subscriptions.
func (t *Tree[S]) Len() int { return t.current.Load().filters }

// Subscribe adds the subscription to sub.Filter, which may be $share/NAME/FILTER,
// or replaces the one that s has to the same filter; isNew tells which.
// RetainHandling is not kept.
func (t *Tree[S]) Subscribe(s S, sub mqtt.Subscription) (isNew bool) {
	m := Match[S]{Subscriber: s, QoS: sub.QoS, NoLocal: sub.NoLocal, RetainAsPublished: sub.RetainAsPublished}
	if sub.ID != 0 {
		m.IDs = []uint32{sub.ID}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.current.Load()
	group, filter := splitShared(sub.Filter)
	next := t.changed(now.index, filter, func(k *takers[S]) *takers[S] {
		var next *takers[S]
		next, isNew = k.with(group, filter, m)
		return next
	})
	filters := now.filters
	if isNew {
		filters++
	}
	t.current.Store(&snapshot[S]{t.seed, now.generation + 1, filters, next})
	return isNew
}

// Unsubscribe ends the subscription of s to the filter; false when there is none.
func (t *Tree[S]) Unsubscribe(s S, filter string) bool {
	return t.RemoveAll(s, filter) == 1
}

// RemoveAll ends the subscriptions of s to the filters, in one change, and gives
// the number of those that there were.
func (t *Tree[S]) RemoveAll(s S, filters ...string) (removed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.current.Load()
	next := now.index
	for _, whole := range filters {
		group, filter := splitShared(whole)
		if !next.takers(t.seed, filter).holds(group, s) {
			continue
		}
		removed++
		next = t.changed(next, filter, func(k *takers[S]) *takers[S] { return k.without(group, s) })
	}
	if removed > 0 {
		t.current.Store(&snapshot[S]{t.seed, now.generation + 1, now.filters - removed, next})
	}
	return removed
}

// splitShared takes a shared subscription's name off; group is empty for any other filter.
func splitShared(whole string) (group, filter string) {
	if group, filter, shared, err := mqtt.ParseShared(whole); shared && err == nil {
		return group, filter
	}
	return "", whole
}

// cutMulti takes a last level # off the levels; hasLevels is false when none is left.
func cutMulti(filter string) (levels string, hasLevels, multi bool) {
	if filter == "#" {
		return "", false, true
	}
	levels, multi = strings.CutSuffix(filter, "/#")
	return levels, true, multi
}

func hasWildcard(filter string) bool { return strings.ContainsAny(filter, "+#") }

// changed gives the index with the takers of filter replaced by what change makes of
// them; change gets and gives nil for none.
func (t *Tree[S]) changed(all index[S], filter string, change func(*takers[S]) *takers[S]) index[S] {
	if hasWildcard(filter) {
		all.root = t.grown(all.root, filter, change)
		return all
	}
	if left := change(all.plain.get(t.seed, filter)); left != nil {
		all.plain = all.plain.with(t.seed, filter, left)
	} else {
		all.plain = all.plain.without(t.seed, filter)
	}
	return all
}

// grown is changed for the tree below root.
func (t *Tree[S]) grown(root *node[S], filter string, change func(*takers[S]) *takers[S]) *node[S] {
	levels, hasLevels, multi := cutMulti(filter)
	type step struct {
		from *node[S]
		word string
	}
	var way []step // a loop, not recursion: a filter may have 65,535 levels
	at := root
	for hasLevels {
		var word string
		word, levels, hasLevels = strings.Cut(levels, "/")
		way = append(way, step{at, word})
		at = at.down(t.seed, word)
		if at == nil {
			at = &node[S]{}
		}
	}
	last := *at
	if multi {
		last.multi = change(last.multi)
	} else {
		last.exact = change(last.exact)
	}
	next := &last
	for _, s := range slices.Backward(way) {
		next = t.linked(s.from, s.word, next)
	}
	return next
}

// linked gives a copy of n that has child at word, or nothing when child is empty.
func (t *Tree[S]) linked(n *node[S], word string, child *node[S]) *node[S] {
	next := *n
	switch {
	case word == "+" && child.isEmpty():
		next.plus = nil
	case word == "+":
		next.plus = child
	case child.isEmpty():
		next.words = n.words.without(t.seed, word)
	default:
		next.words = n.words.with(t.seed, word, child)
	}
	return &next
}

func (n *node[S]) down(seed maphash.Seed, word string) *node[S] {
	if word == "+" {
		return n.plus
	}
	return n.words.get(seed, word)
}

// takers gives the subscribers of the filter, nil when there are none.
func (all *index[S]) takers(seed maphash.Seed, filter string) *takers[S] {
	if !hasWildcard(filter) {
		return all.plain.get(seed, filter)
	}
	n := all.root
	levels, hasLevels, multi := cutMulti(filter)
	for hasLevels && n != nil {
		var word string
		word, levels, hasLevels = strings.Cut(levels, "/")
		n = n.down(seed, word)
	}
	switch {
	case n == nil:
		return nil
	case multi:
		return n.multi
	}
	return n.exact
}

// holds tells whether s is one of them, or of the group.
func (k *takers[S]) holds(group string, s S) bool {
	if k == nil {
		return false
	}
	if group == "" {
		return k.own.has(s)
	}
	i := k.group(group)
	return i >= 0 && indexOf(k.shared[i].Members, s) >= 0
}

// group gives the index of the named group, -1 when there is none.
func (k *takers[S]) group(name string) int {
	return slices.IndexFunc(k.shared, func(g Group[S]) bool { return g.Name == name })
}

func (k *takers[S]) with(group, filter string, m Match[S]) (next *takers[S], isNew bool) {
	next = &takers[S]{}
	if k != nil {
		*next = *k
	}
	if group == "" {
		next.own, isNew = next.own.with(m)
		return next, isNew
	}
	next.shared = slices.Clone(next.shared)
	i := next.group(group)
	if i < 0 {
		i = len(next.shared)
		next.shared = append(next.shared, Group[S]{Name: group, Filter: filter, turn: new(atomic.Uint64)})
	}
	members := next.shared[i].Members
	at := indexOf(members, m.Subscriber)
	if at < 0 {
		next.shared[i].Members = added(members, m)
		return next, true
	}
	next.shared[i].Members = slices.Clone(members)
	next.shared[i].Members[at] = m
	return next, false
}

// without gives nil when nobody is left.
func (k *takers[S]) without(group string, s S) *takers[S] {
	next := *k
	if group == "" {
		next.own = k.own.without(s)
	} else {
		i := k.group(group)
		next.shared = slices.Clone(k.shared)
		members := next.shared[i].Members
		next.shared[i].Members = removed(members, indexOf(members, s))
		if len(next.shared[i].Members) == 0 {
			next.shared = slices.Delete(next.shared, i, i+1)
		}
	}
	if next.own.len == 0 && len(next.shared) == 0 {
		return nil
	}
	return &next
}
