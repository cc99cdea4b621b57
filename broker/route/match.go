package route

import (
	"hash/maphash"
	"slices"
	"strings"
	"unsafe"

	"fieldgate/broker/mqtt"
)

// Result is who gets the messages of one topic. Many share it: nobody may change it.
type Result[S comparable] struct {
	Topic       string // the topic name, a copy that may be kept; empty where the Cache made none
	Subscribers []Match[S]
	Shared      []Group[S]

	own int // bytes that only this result holds
}

// Match gives who gets messages of the topic name. Each subscriber is in
// Subscribers once; it may be a member of groups beside. See Cache for the hot path.
func (t *Tree[S]) Match(name string) *Result[S] {
	r := &Result[S]{}
	now := t.current.Load()
	now.match(name, now.plain.get(now.seed, name), r)
	r.Topic = name
	return r
}

// match looks for the filter that is the name itself, and walks all matching nodes of
// a level of the tree together, level by level. plain is who has subscribed to the name itself. It keeps nothing of the name.
func (s *snapshot[S]) match(name string, plain *takers[S], into *Result[S]) {
	*into = Result[S]{}
	found := finding[S]{result: into}
	found.add(plain)
	var firstHere, firstNext [16]*node[S]
	here, next := append(firstHere[:0], s.root), firstNext[:0]
	isSystem := strings.HasPrefix(name, "$") // not for leading wildcards [v3.1.1 MQTT-4.7.2-1]
	for rest, more := name, true; more && len(here) > 0; {
		var word string
		word, rest, more = strings.Cut(rest, "/")
		hash := maphash.String(s.seed, word)
		next = next[:0]
		for _, n := range here {
			if child := n.words.find(hash, word); child != nil {
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
	found.end()
}

// finding gathers a result.
type finding[S comparable] struct {
	result *Result[S]
	first  roster[S]
	more   []roster[S]
	list   []Match[S] // when it must be a copy
	place  map[S]int  // of each subscriber in list, when there are many
}

// manySubscribers is the length of a list from which on looking a subscriber up
// costs more than a map does.
const manySubscribers = 16

func (f *finding[S]) add(k *takers[S]) {
	if k == nil {
		return
	}
	f.result.Shared = append(f.result.Shared, k.shared...)
	switch {
	case k.own.len == 0:
	case f.first.len == 0:
		f.first = k.own
	default:
		f.more = append(f.more, k.own)
	}
}

// end makes the list: that of one filter alone is taken as it is when it has one block.
func (f *finding[S]) end() {
	r := f.result
	r.own = int(unsafe.Sizeof(*r)) + cap(r.Shared)*int(unsafe.Sizeof(Group[S]{}))
	if len(f.more) == 0 && len(f.first.full) == 0 {
		// The tree still adds to the array: no append to the result may reach it.
		r.Subscribers = slices.Clip(f.first.last)
		return
	}
	r.Subscribers = f.merged()
	r.own += cap(r.Subscribers) * int(unsafe.Sizeof(Match[S]{}))
}

// merged copies all lists into one that has each subscriber once.
func (f *finding[S]) merged() []Match[S] {
	total := f.first.len
	if total == 0 {
		return nil
	}
	for _, r := range f.more {
		total += r.len
	}
	f.list = make([]Match[S], 0, total)
	for block := range f.first.blocks {
		f.list = append(f.list, block...)
	}
	for i := range f.more {
		for block := range f.more[i].blocks {
			for i := range block {
				f.merge(&block[i])
			}
		}
	}
	return f.list
}

func (f *finding[S]) merge(m *Match[S]) {
	list := f.list
	i, known := -1, false
	if len(list) < manySubscribers {
		i = indexOf(list, m.Subscriber)
		known = i >= 0
	} else {
		if f.place == nil {
			f.place = make(map[S]int, cap(list))
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
		f.list = append(list, *m)
		return
	}
	old := &list[i]
	old.QoS = max(old.QoS, m.QoS)
	old.NoLocal = old.NoLocal && m.NoLocal
	old.RetainAsPublished = old.RetainAsPublished || m.RetainAsPublished
	old.IDs = slices.Concat(old.IDs, m.IDs)
}

// Delivered gives the QoS at which a message published with qos reaches the subscriber.
func (m *Match[S]) Delivered(qos mqtt.QoS) mqtt.QoS { return min(qos, m.QoS) }
