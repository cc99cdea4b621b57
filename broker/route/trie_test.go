package route

import (
	"fmt"
	"hash/maphash"
	"testing"

	"github.com/stretchr/testify/require"
)

// trie is the only structure here with a shape that no public method shows.
func TestTrie_IsAMapThatStaysAsItWas(t *testing.T) {
	seed := maphash.MakeSeed()
	const n = 5000
	var versions []trie[int]
	var now trie[int]
	for i := range n {
		versions = append(versions, now)
		now = now.with(seed, fmt.Sprint(i), i+1)
	}
	require.Equal(t, n, now.len)
	require.Equal(t, n, now.with(seed, "7", 8).len, "a word is replaced")
	for i := 0; i < n; i += 97 {
		require.Equal(t, i, versions[i].len)
		require.Zero(t, versions[i].get(seed, fmt.Sprint(i)))
		require.Equal(t, i+1, now.get(seed, fmt.Sprint(i)))
	}
	sum := 0
	now.each(func(_ string, v int) { sum += v })
	require.Equal(t, n*(n+1)/2, sum)
	full := now
	for i := range n {
		now = now.without(seed, fmt.Sprint(i))
		require.Equal(t, n-i-1, now.without(seed, "not there").len)
		require.Zero(t, now.get(seed, fmt.Sprint(i)))
	}
	require.Nil(t, now.root)
	require.Equal(t, n, full.get(seed, fmt.Sprint(n-1)))
}

func TestTrie_KeepsWordsOfTheSameHash(t *testing.T) {
	var b *branch[int]
	root := &branch[int]{}
	seed := maphash.MakeSeed()
	b, added := root.with(seed, 42, hashBits, slot[int]{word: "a", value: 1})
	require.True(t, added)
	b, added = b.with(seed, 42, hashBits, slot[int]{word: "b", value: 2})
	require.True(t, added)
	b, added = b.with(seed, 42, hashBits, slot[int]{word: "b", value: 3})
	require.False(t, added)
	require.Equal(t, 3, b.slots[b.index("b")].value)
	b, removed := b.without(42, hashBits, "a")
	require.True(t, removed)
	b, removed = b.without(42, hashBits, "b")
	require.True(t, removed)
	require.Nil(t, b)
}
