// Package ordered is JSON objects that keep the order of their members and the text of their numbers, as people
// wrote them. It knows syntax only: what the members mean is for who reads them.
package ordered

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// ErrNoObject is what Parse gives for a value that is no object.
var ErrNoObject = errors.New("must be an object")

// Object is one level of a JSON object. The zero value is empty.
type Object []Member

// Member is a key with its value, which is valid JSON.
type Member struct {
	Key   string
	Value json.RawMessage
}

// Parse reads one level of an object. Equal keys all stay, see Repeated and Last; values share nothing with text.
// It fails with ErrNoObject, or with what is wrong with the JSON.
func Parse(text []byte) (Object, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, ErrNoObject
	}
	var o Object
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string) // the decoder gives nothing else in this place
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		o = append(o, Member{key, value})
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	return o, nil
}

// Repeated gives the first key that stands there twice.
func (o Object) Repeated() (key string, repeated bool) {
	seen := make(map[string]bool, len(o))
	for _, m := range o {
		if seen[m.Key] {
			return m.Key, true
		}
		seen[m.Key] = true
	}
	return "", false
}

// Last gives the object in which of equal keys the last value counts, in the place of the first.
func (o Object) Last() Object {
	at := make(map[string]int, len(o))
	var once Object
	for _, m := range o {
		if i, known := at[m.Key]; known {
			once[i].Value = m.Value
			continue
		}
		at[m.Key] = len(once)
		once = append(once, m)
	}
	return once
}

func (o Object) find(key string) int {
	return slices.IndexFunc(o, func(m Member) bool { return m.Key == key })
}

// Has tells whether there is a member of that key.
func (o Object) Has(key string) bool { return o.find(key) >= 0 }

// Get gives the value of a key, nil when there is none.
func (o Object) Get(key string) json.RawMessage {
	if i := o.find(key); i >= 0 {
		return o[i].Value
	}
	return nil
}

// Text gives a member that is a text, "" for anything else.
func (o Object) Text(key string) string {
	var s string
	if json.Unmarshal(o.Get(key), &s) != nil {
		return ""
	}
	return s
}

// Set replaces a value in its place, or adds it at the end.
func (o *Object) Set(key string, value json.RawMessage) {
	if i := o.find(key); i >= 0 {
		(*o)[i].Value = value
		return
	}
	*o = append(*o, Member{key, value})
}

// Remove takes a member away; the array of o is not touched, for copies may share it.
func (o *Object) Remove(key string) {
	if i := o.find(key); i >= 0 {
		*o = slices.Concat((*o)[:i], (*o)[i+1:])
	}
}

// JSON writes the object in its order.
func (o Object) JSON() json.RawMessage {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, Quote(m.Key)...)
		b = append(b, ':')
		b = append(b, m.Value...)
	}
	return append(b, '}')
}

// List writes values as an array.
func List(items []json.RawMessage) json.RawMessage {
	b := []byte{'['}
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item...)
	}
	return append(b, ']')
}

// Quote gives a text as JSON, with < > & as they are.
func Quote(s string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a text into memory has no error
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
