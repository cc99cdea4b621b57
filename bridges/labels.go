package bridges

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"fieldgate/internal/fault"
)

// Labels names the values of a point ({0: off, 1: on}): the label is published in
// the place of the number, and taken in its place by a command.
type Labels map[int64]string

const (
	maxLabels = 256
	maxLabel  = 64 // bytes
)

// Label gives the label of a number.
func (l Labels) Label(n int64) (string, bool) {
	text, ok := l[n]
	return text, ok
}

// Number gives the number that a label stands for.
func (l Labels) Number(label string) (int64, bool) {
	for n, text := range l {
		if text == label {
			return n, true
		}
	}
	return 0, false
}

// Check adds what is wrong with the labels at the JSON pointer.
func (l Labels) Check(f *Faults, at string) {
	if len(l) > maxLabels {
		f.Add(at, OutOfRange, "must have at most %d labels", maxLabels)
	}
	seen := map[string]bool{}
	for n, text := range l {
		below := at + "/" + strconv.FormatInt(n, 10)
		switch {
		case text == "" || len(text) > maxLabel:
			f.Add(below, OutOfRange, "a label must have 1 to %d bytes", maxLabel)
		case seen[text]:
			f.Add(below, Invalid, "the label %q stands there twice", text)
		}
		seen[text] = true
	}
}

// List gives the labels in the order of their numbers, for a person.
func (l Labels) List() string { return strings.Join(l.Texts(), ", ") }

// Texts gives the labels in the order of their numbers.
func (l Labels) Texts() []string {
	numbers := make([]int64, 0, len(l))
	for n := range l {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	words := make([]string, 0, len(l))
	for _, n := range numbers {
		words = append(words, l[n])
	}
	return words
}

// NoValues are what a device sends when it has no value: [nan, "0x8000", 32767, -9999]. In
// settings nan is a text, hexadecimal numbers may be texts; other texts stand for themselves.
type NoValues []NoValue

// NoValue is one of NoValues.
type NoValue struct{ value Value }

// UnmarshalJSON reads a number or a text.
func (n *NoValue) UnmarshalJSON(data []byte) error {
	v, err := ParseValue(data)
	if err != nil {
		return err
	}
	if text, ok := v.AsText(); ok {
		if digits, hex := strings.CutPrefix(strings.ToLower(text), "0x"); hex {
			raw, err := strconv.ParseUint(digits, 16, 64)
			if err != nil {
				return fault.New(fault.Invalid, "must be a number such as 0x8000")
			}
			v = Uint(raw)
		}
	}
	if _, isBool := v.AsBool(); isBool || v.IsNone() {
		return fault.New(fault.Invalid, `must be a number or a text, such as "nan", "0x8000" or -9999`)
	}
	n.value = v
	return nil
}

// MarshalJSON writes the value.
func (n NoValue) MarshalJSON() ([]byte, error) { return json.Marshal(n.value) }

const maxNoValues = 32

// Check adds what is wrong with the list at the JSON pointer.
func (n NoValues) Check(f *Faults, at string) {
	if len(n) > maxNoValues {
		f.Add(at, OutOfRange, "must have at most %d values", maxNoValues)
	}
}

// HasRaw tells whether an integer of that many bits, 8 to 64, is in the list, signed or not: -1 stands for 0xFFFF of 16 bits.
func (n NoValues) HasRaw(raw uint64, bits int) bool {
	mask := uint64(math.MaxUint64) >> (64 - bits)
	for _, x := range n {
		if i, ok := x.value.Int64(); ok && i < 0 && uint64(i)&mask == raw&mask && i >= math.MinInt64>>(64-bits) {
			return true
		}
		if u, ok := x.value.Uint64(); ok && u == raw&mask {
			return true
		}
	}
	return false
}

// HasNumber tells whether a float is in the list; NaN is when "nan" is.
func (n NoValues) HasNumber(f float64) bool {
	for _, x := range n {
		if text, ok := x.value.AsText(); ok && math.IsNaN(f) && strings.EqualFold(text, "nan") {
			return true
		}
		if number, ok := x.value.Number(); ok && number == f {
			return true
		}
	}
	return false
}

// HasText tells whether a text is in the list.
func (n NoValues) HasText(s string) bool {
	for _, x := range n {
		if text, ok := x.value.AsText(); ok && text == s {
			return true
		}
	}
	return false
}

// Names is what a person calls a thing, by language ("en", "zh"); settings may write a
// bare text, which is kept under "". It changes nothing in topics.
type Names map[string]string

const (
	maxNames = 16
	maxName  = 128 // bytes
)

// UnmarshalJSON reads a text or an object of texts.
func (n *Names) UnmarshalJSON(data []byte) error {
	if v, err := ParseValue(data); err == nil {
		text, ok := v.AsText()
		if !ok {
			return fault.New(fault.Invalid, `must be a text, or texts by language: {"en": "Voltage", "zh": "电压"}`)
		}
		*n = Names{"": text}
		return nil
	}
	var names map[string]string
	if err := Decode(data, &names); err != nil {
		return err
	}
	*n = names
	return nil
}

// In gives the name in a language, else in English, else any; "" when there is none.
func (n Names) In(language string) string {
	for _, l := range []string{language, "", "en"} {
		if name, ok := n[l]; ok {
			return name
		}
	}
	for _, name := range n {
		return name
	}
	return ""
}

// Check adds what is wrong with the names at the JSON pointer.
func (n Names) Check(f *Faults, at string) {
	if len(n) > maxNames {
		f.Add(at, OutOfRange, "must have at most %d languages", maxNames)
	}
	for _, name := range n {
		if len(name) > maxName {
			f.Add(at, OutOfRange, "must have at most %d bytes", maxName)
		}
	}
}
