package mqtt

import (
	"encoding/binary"
	"iter"
)

// Properties are the properties of a PUBLISH that travel with the message
// unaltered and in their order: payload format indicator, content type, response
// topic, correlation data and user properties, encoded as in [v5 3.3.2.3] without
// their length. Topic alias, subscription identifier and message expiry interval
// are not among them.
//
// What packet decoded and what the Append methods wrote is well-formed. Bytes
// from elsewhere may not be: the methods then see what stands before the fault.
type Properties []byte

// PropertyID is the identifier of a property [v5 table 2-4].
type PropertyID byte

// The properties that travel with a message.
const (
	PayloadFormat   PropertyID = 0x01
	ContentType     PropertyID = 0x03
	ResponseTopic   PropertyID = 0x08
	CorrelationData PropertyID = 0x09
	UserProperty    PropertyID = 0x26
)

// Property is one of Properties. Its slices point into them.
type Property struct {
	ID    PropertyID
	Name  []byte // of a user property
	Value []byte // one byte for the payload format indicator
}

// All gives the properties in their order.
func (p Properties) All() iter.Seq[Property] {
	return func(yield func(Property) bool) {
		for rest := []byte(p); len(rest) > 0; {
			one, after, ok := cutProperty(rest)
			if !ok || !yield(one) {
				return
			}
			rest = after
		}
	}
}

func cutProperty(b []byte) (one Property, after []byte, ok bool) {
	one.ID = PropertyID(b[0])
	b = b[1:]
	switch one.ID {
	case PayloadFormat:
		if len(b) < 1 {
			return one, nil, false
		}
		one.Value = b[:1]
		return one, b[1:], true
	case UserProperty:
		if one.Name, b, ok = cutBinary(b); !ok {
			return one, nil, false
		}
	case ContentType, ResponseTopic, CorrelationData:
	default:
		return one, nil, false
	}
	one.Value, b, ok = cutBinary(b)
	return one, b, ok
}

// cutBinary takes two bytes of length and as many bytes from the front.
func cutBinary(b []byte) (data, after []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < n {
		return nil, nil, false
	}
	return b[2:n:n], b[n:], true
}

func (p Properties) first(id PropertyID) ([]byte, bool) {
	for one := range p.All() {
		if one.ID == id {
			return one.Value, true
		}
	}
	return nil, false
}

// IsText tells whether the publisher says that the payload is UTF-8 [v5 3.3.2.3.2].
func (p Properties) IsText() bool {
	v, _ := p.first(PayloadFormat)
	return len(v) == 1 && v[0] == 1
}

// ContentType gives the publisher's description of the payload, such as a MIME
// type; empty when there is none.
func (p Properties) ContentType() string {
	v, _ := p.first(ContentType)
	return string(v)
}

// ResponseTopic gives the topic name that an answer is to be published to; empty
// when the message is no request [v5 3.3.2.3.5].
func (p Properties) ResponseTopic() string {
	v, _ := p.first(ResponseTopic)
	return string(v)
}

// CorrelationData gives what an answer must carry so that the requester knows it
// again, pointing into p; nil when there is none [v5 3.3.2.3.6].
func (p Properties) CorrelationData() []byte {
	v, _ := p.first(CorrelationData)
	return v
}

// User gives the user properties, name and value, in their order; a name may come
// more than once.
func (p Properties) User() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for one := range p.All() {
			if one.ID == UserProperty && !yield(string(one.Name), string(one.Value)) {
				return
			}
		}
	}
}

// AppendPayloadFormat says whether the payload is UTF-8.
func (p Properties) AppendPayloadFormat(isText bool) Properties {
	if isText {
		return append(p, byte(PayloadFormat), 1)
	}
	return append(p, byte(PayloadFormat), 0)
}

// AppendContentType adds a description of the payload. Like the other Append
// methods it cuts after 65,535 bytes; text must pass CheckUTF8, and only user
// properties may be there more than once.
func (p Properties) AppendContentType(text string) Properties {
	return appendBinary(append(p, byte(ContentType)), text)
}

// AppendResponseTopic adds the topic name for the answer; it must pass CheckName.
func (p Properties) AppendResponseTopic(name string) Properties {
	return appendBinary(append(p, byte(ResponseTopic)), name)
}

// AppendCorrelationData adds what the answer must carry.
func (p Properties) AppendCorrelationData(data []byte) Properties {
	return appendBinary(append(p, byte(CorrelationData)), data)
}

// AppendUser adds a user property; name and value must pass CheckUTF8.
func (p Properties) AppendUser(name, value string) Properties {
	return appendBinary(appendBinary(append(p, byte(UserProperty)), name), value)
}

func appendBinary[T text](dst []byte, s T) []byte {
	s = s[:min(len(s), maxText)]
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}
