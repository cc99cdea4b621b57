package mqtt

import "unicode/utf8"

// GrammarError is what a string breaks, in words that follow the string's name:
// "must not contain U+0000". Its values are the Err constants.
type GrammarError string

// Error gives the words.
func (e GrammarError) Error() string { return string(e) }

// What may be wrong with a string, a topic name or a topic filter.
const (
	ErrNotUTF8   GrammarError = "must be well-formed UTF-8"                              // [v3.1.1 MQTT-1.5.3-1] [v5 MQTT-1.5.4-1]
	ErrNull      GrammarError = "must not contain U+0000"                                // [v3.1.1 MQTT-1.5.3-2] [v5 MQTT-1.5.4-2]
	ErrLength    GrammarError = "must have 1 to 65535 bytes"                             // [v3.1.1 MQTT-4.7.3-1] [v3.1.1 MQTT-4.7.3-3] [v5 MQTT-4.7.3-1] [v5 MQTT-4.7.3-3]
	ErrWildcard  GrammarError = "must not contain the wildcards + and #"                 // [v3.1.1 MQTT-3.3.2-2] [v5 MQTT-3.3.2-2]
	ErrMultiLast GrammarError = "must have # only alone in its last level"               // [v3.1.1 MQTT-4.7.1-2] [v5 MQTT-4.7.1-1]
	ErrPlusAlone GrammarError = "must have + only alone in a level"                      // [v3.1.1 MQTT-4.7.1-3] [v5 MQTT-4.7.1-2]
	ErrShareName GrammarError = "must be $share/NAME/FILTER, NAME not empty, no + and #" // [v5 MQTT-4.8.2-1] [v5 MQTT-4.8.2-2]
)

// maxText is the length in bytes of the longest string that MQTT can carry.
const maxText = 65535

type text interface{ ~string | ~[]byte }

// CheckUTF8 says what is wrong with a string of MQTT: ErrNotUTF8 for overlong
// forms, surrogates, values above U+10FFFF and torn sequences, ErrNull for U+0000,
// or nil. It does not look at the length.
func CheckUTF8[T text](s T) error {
	_, err := scan(s)
	return err
}

// Eight bytes at a time; see scan.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// anyZero is not 0 when one of the eight bytes of x, all below 0x80, is 0.
func anyZero(x uint64) uint64 { return (x - ones) & ^x & highs }

// scan checks s as CheckUTF8 does, and tells whether it has a + or #.
func scan[T text](s T) (wild bool, err error) {
	i := 0
	for i < len(s) {
		if len(s)-i >= 8 {
			x := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
				uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
			if x&highs == 0 && anyZero(x)|anyZero(x^('+'*ones))|anyZero(x^('#'*ones)) == 0 {
				i += 8
				continue
			}
		}
		switch c := s[i]; {
		case c == 0:
			return wild, ErrNull
		case c == '+' || c == '#':
			wild = true
			i++
		case c < utf8.RuneSelf:
			i++
		default:
			n := runeLength(s, i)
			if n == 0 {
				return wild, ErrNotUTF8
			}
			i += n
		}
	}
	return wild, nil
}

// runeLength gives the number of bytes, 2 to 4, of the well-formed sequence that
// begins at s[i], which is not ASCII; 0 when it is not well-formed.
func runeLength[T text](s T, i int) int {
	// The whole of Unicode's table of well-formed sequences: the first byte says how
	// many follow and in which range the second may be.
	low, high, n := byte(0x80), byte(0xBF), 0
	switch c := s[i]; {
	case c < 0xC2:
		return 0
	case c < 0xE0:
		n = 2
	case c < 0xF0:
		n = 3
		if c == 0xE0 {
			low = 0xA0
		}
		if c == 0xED {
			high = 0x9F
		}
	case c < 0xF5:
		n = 4
		if c == 0xF0 {
			low = 0x90
		}
		if c == 0xF4 {
			high = 0x8F
		}
	default:
		return 0
	}
	if len(s)-i < n || s[i+1] < low || s[i+1] > high {
		return 0
	}
	for k := 2; k < n; k++ {
		if s[i+k]&0xC0 != 0x80 {
			return 0
		}
	}
	return n
}
