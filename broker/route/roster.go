package route

import "slices"

// roster is the subscribers of one filter, in blocks, so that one of 10,000 comes
// and goes without a copy of all. It never changes: with and without give another
// one. The zero value is empty; otherwise no block is.
type roster[S comparable] struct {
	last []Match[S]   // what comes is added to it
	full [][]Match[S] // the blocks before, which had no room any more when last was begun
	len  int
}

// blockSize is the number of subscribers in a full block.
const blockSize = 256

// blocks gives all blocks in order.
func (r *roster[S]) blocks(yield func([]Match[S]) bool) {
	for _, list := range r.full {
		if !yield(list) {
			return
		}
	}
	if r.len > 0 {
		yield(r.last)
	}
}

// find gives the place of the subscriber, index -1 when it is not there; block is
// len(r.full) for the last one.
func (r *roster[S]) find(s S) (block, index int) {
	for list := range r.blocks {
		if i := indexOf(list, s); i >= 0 {
			return block, i
		}
		block++
	}
	return 0, -1
}

func (r *roster[S]) has(s S) bool {
	_, i := r.find(s)
	return i >= 0
}

// with adds m, or replaces the subscriber's entry.
func (r *roster[S]) with(m Match[S]) (next roster[S], isNew bool) {
	block, i := r.find(m.Subscriber)
	switch {
	case i >= 0:
		changed := slices.Clone(r.block(block))
		changed[i] = m
		return r.replaced(block, changed, 0), false
	case len(r.last) < blockSize:
		return roster[S]{added(r.last, m), r.full, r.len + 1}, true
	}
	return roster[S]{[]Match[S]{m}, append(slices.Clone(r.full), r.last), r.len + 1}, true
}

// without removes the subscriber, who must be there.
func (r *roster[S]) without(s S) roster[S] {
	block, i := r.find(s)
	if left := removed(r.block(block), i); len(left) > 0 {
		return r.replaced(block, left, -1)
	}
	whole := append(slices.Clone(r.full), r.last)
	whole = slices.Delete(whole, block, block+1)
	if len(whole) == 0 {
		return roster[S]{}
	}
	end := len(whole) - 1
	return roster[S]{whole[end], whole[:end:end], r.len - 1}
}

func (r *roster[S]) block(i int) []Match[S] {
	if i < len(r.full) {
		return r.full[i]
	}
	return r.last
}

func (r *roster[S]) replaced(block int, list []Match[S], more int) roster[S] {
	if block == len(r.full) {
		return roster[S]{list, r.full, r.len + more}
	}
	full := slices.Clone(r.full)
	full[block] = list
	return roster[S]{r.last, full, r.len + more}
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
