package bridges

import (
	"fmt"
	"slices"
	"strings"
)

// unknownKeyWords says that nothing reads the key, and which one may be meant.
func unknownKeyWords(key string, known []string) string {
	if near, ok := Nearest(key, known); ok {
		return fmt.Sprintf("there is no such key; did you mean %q?", near)
	}
	sorted := slices.Sorted(slices.Values(known))
	const most = 20
	if len(sorted) > most {
		return "there is no such key; known are " + strings.Join(sorted[:most], ", ") + " and more"
	}
	return "there is no such key; known are " + strings.Join(sorted, ", ")
}

// Nearest gives the known word that the given one is most likely a misspelling
// of: at most a third of its letters differ, or two swapped ones. Case does not count.
func Nearest(word string, known []string) (string, bool) {
	const longest = 64 // what is longer is no misspelling
	if len(word) > longest {
		return "", false
	}
	word = strings.ToLower(word)
	most := len(word) / 3
	if len(word) >= 4 {
		most = max(most, 2)
	}
	best, distance := "", most+1
	for _, k := range known {
		if d := levenshtein(word, strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	return best, best != ""
}

// levenshtein counts the bytes to insert, delete or replace to make a of b.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
