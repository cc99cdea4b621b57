package route

import (
	"hash/maphash"
	"math/bits"
)

// trie is a persistent map from the words of topic levels: with and without give
// a new one that shares all but a few small pieces with the old one, which stays
// as it was. A map of 100,000 words is changed in about a microsecond. The zero
// value is empty.
type trie[V any] struct {
	root branch[V]
	len  int
}

// branch holds the slots of those of 64 possible continuations that are there, in
// the order of the bits of used. Below the last bits of the hash it is a plain
// list of words with the same hash, and used is 0. The zero value is empty.
type branch[V any] struct {
	used  uint64
	slots []slot[V]
}

// slot is a word with its value, or, when below is not empty, a branch. It has the
// hash of the word and the head of the branch in itself, and so the length of a
// cache line: a step down a large tree costs one line from memory, and a word that
// is not there is told by its hash.
type slot[V any] struct {
	hash  uint64
	word  string
	value V
	below branch[V]
}

const (
	hashBits   = 64
	branchBits = 6
)

func (b *branch[V]) isEmpty() bool { return len(b.slots) == 0 }

// place gives the bit of the hash's continuation and its index among the slots.
func (b *branch[V]) place(hash uint64, shift int) (bit uint64, index int) {
	bit = 1 << (hash >> shift & (1<<branchBits - 1))
	return bit, bits.OnesCount64(b.used & (bit - 1))
}

// get gives the word's value; the zero value when it is not there.
func (t *trie[V]) get(seed maphash.Seed, word string) V {
	return t.find(maphash.String(seed, word), word)
}

// find is get with the word's hash.
func (t *trie[V]) find(hash uint64, word string) (v V) {
	if s := t.slot(hash, word); s != nil && s.word == word {
		return s.value
	}
	return v
}

// slot gives the slot in which the word stands when it is there: the one with its hash, nil for none.
func (t *trie[V]) slot(hash uint64, word string) *slot[V] {
	b := &t.root
	for shift := 0; shift < hashBits; shift += branchBits {
		bit, i := b.place(hash, shift)
		if b.used&bit == 0 {
			return nil
		}
		s := &b.slots[i]
		if s.below.isEmpty() {
			if s.hash != hash {
				return nil
			}
			return s
		}
		b = &s.below
	}
	if i := b.index(word); i >= 0 {
		return &b.slots[i]
	}
	return nil
}

// index finds the word in a list of words with the same hash, -1 when it is not there.
func (b *branch[V]) index(word string) int {
	for i := range b.slots {
		if b.slots[i].word == word {
			return i
		}
	}
	return -1
}

// with gives the trie with the word set to v.
func (t *trie[V]) with(seed maphash.Seed, word string, v V) trie[V] {
	root, added := t.root.with(0, slot[V]{hash: maphash.String(seed, word), word: word, value: v})
	if !added {
		return trie[V]{root, t.len}
	}
	return trie[V]{root, t.len + 1}
}

func (b *branch[V]) with(shift int, s slot[V]) (changed branch[V], added bool) {
	if shift >= hashBits {
		if i := b.index(s.word); i >= 0 {
			return b.replaced(i, s), false
		}
		return b.inserted(len(b.slots), 0, s), true
	}
	bit, i := b.place(s.hash, shift)
	if b.used&bit == 0 {
		return b.inserted(i, bit, s), true
	}
	old := b.slots[i]
	below := old.below
	if below.isEmpty() {
		if old.word == s.word {
			return b.replaced(i, s), false
		}
		below, _ = below.with(shift+branchBits, old) // two words share the hash so far: both go a branch down
	}
	below, added = below.with(shift+branchBits, s)
	return b.replaced(i, slot[V]{below: below}), added
}

// without gives the trie without the word.
func (t *trie[V]) without(seed maphash.Seed, word string) trie[V] {
	root, removed := t.root.without(maphash.String(seed, word), 0, word)
	if !removed {
		return *t
	}
	return trie[V]{root, t.len - 1}
}

func (b *branch[V]) without(hash uint64, shift int, word string) (changed branch[V], removed bool) {
	if shift >= hashBits {
		if i := b.index(word); i >= 0 {
			return b.removed(i, 0), true
		}
		return *b, false
	}
	bit, i := b.place(hash, shift)
	if b.used&bit == 0 {
		return *b, false
	}
	s := &b.slots[i]
	if s.below.isEmpty() {
		if s.word != word {
			return *b, false
		}
		return b.removed(i, bit), true
	}
	below, removed := s.below.without(hash, shift+branchBits, word)
	switch {
	case !removed:
		return *b, false
	case below.isEmpty():
		return b.removed(i, bit), true
	case len(below.slots) == 1 && below.slots[0].below.isEmpty(): // a word alone moves up
		return b.replaced(i, below.slots[0]), true
	}
	return b.replaced(i, slot[V]{below: below}), true
}

func (b *branch[V]) replaced(i int, s slot[V]) branch[V] {
	slots := make([]slot[V], len(b.slots))
	copy(slots, b.slots)
	slots[i] = s
	return branch[V]{b.used, slots}
}

func (b *branch[V]) inserted(i int, bit uint64, s slot[V]) branch[V] {
	slots := make([]slot[V], len(b.slots)+1)
	copy(slots, b.slots[:i])
	slots[i] = s
	copy(slots[i+1:], b.slots[i:])
	return branch[V]{b.used | bit, slots}
}

func (b *branch[V]) removed(i int, bit uint64) branch[V] {
	if len(b.slots) == 1 {
		return branch[V]{}
	}
	slots := make([]slot[V], 0, len(b.slots)-1)
	slots = append(append(slots, b.slots[:i]...), b.slots[i+1:]...)
	return branch[V]{b.used &^ bit, slots}
}

// each calls f for every word, in no order. It recurses at most 11 deep.
func (t *trie[V]) each(f func(word string, v V)) { t.root.each(f) }

func (b *branch[V]) each(f func(word string, v V)) {
	for i := range b.slots {
		if s := &b.slots[i]; !s.below.isEmpty() {
			s.below.each(f)
		} else {
			f(s.word, s.value)
		}
	}
}
