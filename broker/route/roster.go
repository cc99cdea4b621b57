package route

import "slices"

// roster is the subscribers of one filter, in blocks, so that one of 10,000 comes
// and goes without a copy of all. It never changes: with and without give another
// one. The zero value is empty; no block is.
type roster[S comparable] struct {
	blocks [][]Match[S]
	len    int
}

// blockSize is the number of subscribers in a full block.
const blockSize = 256

// find gives the place of the subscriber, -1 when it is not there.
func (r roster[S]) find(s S) (block, index int) {
	for block, list := range r.blocks {
		if i := indexOf(list, s); i >= 0 {
			return block, i
		}
	}
	return -1, -1
}

// with adds m, or replaces the subscriber's entry.
func (r roster[S]) with(m Match[S]) (next roster[S], isNew bool) {
	if block, i := r.find(m.Subscriber); block >= 0 {
		changed := slices.Clone(r.blocks[block])
		changed[i] = m
		return r.replaced(block, changed, 0), false
	}
	last := len(r.blocks) - 1
	if last < 0 || len(r.blocks[last]) >= blockSize {
		blocks := append(slices.Clone(r.blocks), []Match[S]{m})
		return roster[S]{blocks, r.len + 1}, true
	}
	return r.replaced(last, added(r.blocks[last], m), 1), true
}

// without removes the subscriber, who must be there.
func (r roster[S]) without(s S) roster[S] {
	block, i := r.find(s)
	if left := removed(r.blocks[block], i); len(left) > 0 {
		return r.replaced(block, left, -1)
	}
	blocks := slices.Concat(r.blocks[:block], r.blocks[block+1:])
	return roster[S]{blocks, r.len - 1}
}

func (r roster[S]) replaced(block int, list []Match[S], more int) roster[S] {
	blocks := slices.Clone(r.blocks)
	blocks[block] = list
	return roster[S]{blocks, r.len + more}
}

// added gives the list with m at its end. It stands behind what readers of the old
// list see, so its array may be used again: of the lists that share an array, only
// the newest is added to.
func added[S comparable](list []Match[S], m Match[S]) []Match[S] { return append(list, m) }

// removed gives a copy of the list without the entry at i.
func removed[S comparable](list []Match[S], i int) []Match[S] {
	next := make([]Match[S], 0, len(list)-1)
	return append(append(next, list[:i]...), list[i+1:]...)
}

func indexOf[S comparable](list []Match[S], s S) int {
	for i := range list {
		if list[i].Subscriber == s {
			return i
		}
	}
	return -1
}
