package line

import (
	"slices"
	"strings"
)

// KeyValue is a line of pairs, such as T=21.5,H=40.
type KeyValue struct {
	Pair   string `json:"pair"`   // between two pairs
	Equals string `json:"equals"` // between key and value
}

// SetDefaults fills in comma and equals sign.
func (k *KeyValue) SetDefaults() { k.Pair, k.Equals = ",", "=" }

// pairParser takes key and value pairs.
type pairParser struct {
	KeyValue
	fieldList
}

func (k *pairParser) bind(field string, _ *Point) (int, error) { return k.number(field), nil }

// parse wants at least one of the keys; one that stands there twice makes the line
// doubtful, for it may be two that ran together.
func (k *pairParser) parse(body []byte, cells []cell) bool {
	found := false
	for piece := range strings.SplitSeq(plainText(body), k.Pair) {
		key, value, ok := strings.Cut(piece, k.Equals)
		i := slices.Index(k.fieldList, strings.TrimSpace(key))
		if !ok || i < 0 {
			continue
		}
		if cells[i].here {
			return false
		}
		cells[i], found = cell{here: true, text: value}, true
	}
	return found
}
