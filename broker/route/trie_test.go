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
	replaced := now.with(seed, "7", 8)
	require.Equal(t, n, replaced.len, "a word is replaced")
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
		same := now.without(seed, "not there")
		require.Equal(t, n-i-1, same.len)
		require.Zero(t, now.get(seed, fmt.Sprint(i)))
	}
	require.Equal(t, trie[int]{}, now)
	require.Equal(t, n, full.get(seed, fmt.Sprint(n-1)))
}

func TestTrie_KeepsWordsOfTheSameHash(t *testing.T) {
	var b branch[int]
	b, added := b.with(hashBits, slot[int]{hash: 42, word: "a", value: 1})
	require.True(t, added)
	b, added = b.with(hashBits, slot[int]{hash: 42, word: "b", value: 2})
	require.True(t, added)
	b, added = b.with(hashBits, slot[int]{hash: 42, word: "b", value: 3})
	require.False(t, added)
	require.Equal(t, 3, b.slots[b.index("b")].value)
	b, removed := b.without(42, hashBits, "a")
	require.True(t, removed)
	b, removed = b.without(42, hashBits, "b")
	require.True(t, removed)
	require.True(t, b.isEmpty())
}

// Two different words whose hashes are the same up to the last bits, and the same hash.
func TestTrie_TellsWordsOfOneHashApart(t *testing.T) {
	var words trie[int]
	for i, word := range []string{"a", "b"} {
		words.root, _ = words.root.with(0, slot[int]{hash: 42, word: word, value: i + 1})
	}
	require.Equal(t, 1, words.find(42, "a"))
	require.Equal(t, 2, words.find(42, "b"))
	require.Zero(t, words.find(42, "c"))
	left, removed := words.root.without(42, 0, "a")
	require.True(t, removed)
	words.root = left
	require.Equal(t, 2, words.find(42, "b"))
	require.Len(t, words.root.slots, 1)
	require.True(t, words.root.slots[0].below.isEmpty(), "a word alone moves up")
}
