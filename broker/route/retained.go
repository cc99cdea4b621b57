package route

import (
	"hash/maphash"
	"iter"
	"strings"
	"sync"

	"fieldgate/broker/mqtt"
)

// Retained is the index of retained messages, one a topic. All methods may be
// called at the same time.
type Retained struct {
	seed  maphash.Seed
	mu    sync.RWMutex
	exact map[string]*place // by topic name
	root  place
	bytes int64
	open  volume // of topics that do not begin with $
}

// volume is a number of messages with their size.
type volume struct {
	messages int
	bytes    int64
}

// place is one level of topic names.
type place struct {
	parent  *place
	word    string
	words   trie[*place]
	message *mqtt.Message // nil where no topic ends
}

// NewRetained returns an empty index.
func NewRetained() *Retained {
	return &Retained{seed: maphash.MakeSeed(), exact: map[string]*place{}}
}

// Len gives the number of retained messages.
func (r *Retained) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.exact)
}

// Bytes gives the size of the retained messages: topic names, payloads, properties.
func (r *Retained) Bytes() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.bytes
}

func size(m *mqtt.Message) int64 { return int64(len(m.Topic) + len(m.Payload) + len(m.Props)) }

// Set keeps m as the retained message of its topic, or, when its payload is empty,
// removes the one that is there [v3.1.1 MQTT-3.3.1-10] [v5 MQTT-3.3.1-6].
func (r *Retained) Set(m *mqtt.Message) {
	if len(m.Payload) == 0 {
		r.Delete(m.Topic)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.exact[m.Topic]
	if p == nil {
		p = r.reach(m.Topic)
		r.exact[m.Topic] = p
	} else {
		r.count(p.message, -1)
	}
	r.count(m, 1)
	p.message = m
}

// count adds a message to what there is, or takes it away with -1.
func (r *Retained) count(m *mqtt.Message, sign int) {
	bytes := int64(sign) * size(m)
	r.bytes += bytes
	if !strings.HasPrefix(m.Topic, "$") {
		r.open.messages += sign
		r.open.bytes += bytes
	}
}

// HasRoom tells whether a message of the topic name, of so many bytes with its name, may be set without going
// beyond the given numbers of messages and bytes. Topics that begin with $ do not count.
func (r *Retained) HasRoom(name []byte, bytes int64, mostMessages int, mostBytes int64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	fits := r.open.bytes+bytes <= mostBytes
	if fits && r.open.messages < mostMessages {
		return true
	}
	p := r.exact[string(name)] // one that takes the place of another may be as large
	return p != nil && (fits || bytes <= size(p.message))
}

func (r *Retained) reach(name string) *place {
	at := &r.root
	for rest, more := name, true; more; {
		var word string
		word, rest, more = strings.Cut(rest, "/")
		child := at.words.get(r.seed, word)
		if child == nil {
			child = &place{parent: at, word: word}
			at.words = at.words.with(r.seed, word, child)
		}
		at = child
	}
	return at
}

// Get gives the retained message of the topic name, nil when there is none.
func (r *Retained) Get(name string) *mqtt.Message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if p := r.exact[name]; p != nil {
		return p.message
	}
	return nil
}

// Delete removes the retained message of the topic name; false when there is none.
func (r *Retained) Delete(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.exact[name]
	if p == nil {
		return false
	}
	delete(r.exact, name)
	r.count(p.message, -1)
	p.message = nil
	for p.parent != nil && p.message == nil && p.words.len == 0 {
		p.parent.words = p.parent.words.without(r.seed, p.word)
		p = p.parent
	}
	return true
}

// Match gives the retained messages whose topic matches the filter, in no order:
// those of the moment at which the loop begins. No lock is held while it runs.
func (r *Retained) Match(filter string) iter.Seq[*mqtt.Message] {
	return func(yield func(*mqtt.Message) bool) {
		for _, m := range r.find(filter) {
			if !yield(m) {
				return
			}
		}
	}
}

func (r *Retained) find(filter string) []*mqtt.Message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !strings.ContainsAny(filter, "+#") {
		if p := r.exact[filter]; p != nil {
			return []*mqtt.Message{p.message}
		}
		return nil
	}
	here := []*place{&r.root}
	for rest, more := filter, true; more && len(here) > 0; {
		var word string
		word, rest, more = strings.Cut(rest, "/")
		if word == "#" {
			return r.below(here)
		}
		here = r.step(here, word)
	}
	var found []*mqtt.Message
	for _, p := range here {
		if p.message != nil {
			found = append(found, p.message)
		}
	}
	return found
}

// step gives the places that one level of a filter leads to.
func (r *Retained) step(here []*place, word string) []*place {
	var next []*place
	for _, p := range here {
		if word == "+" {
			next = p.children(next)
		} else if child := p.words.get(r.seed, word); child != nil {
			next = append(next, child)
		}
	}
	return next
}

// children appends what a wildcard finds below p: at the first level not the words
// that begin with $ [v3.1.1 MQTT-4.7.2-1].
func (p *place) children(to []*place) []*place {
	p.words.each(func(word string, child *place) {
		if p.parent != nil || !strings.HasPrefix(word, "$") {
			to = append(to, child)
		}
	})
	return to
}

// below gives all messages at the places and under them.
func (r *Retained) below(todo []*place) []*mqtt.Message {
	var found []*mqtt.Message
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if p.message != nil {
			found = append(found, p.message)
		}
		todo = p.children(todo)
	}
	return found
}
