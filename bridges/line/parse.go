package line

import (
	"slices"
	"strings"

	"fieldgate/bridges"
)

// Parse finds the values in a frame. Exactly one of Regex, CSV, JSON, KeyValue,
// NMEA, Binary and Text says how.
type Parse struct {
	Regex    string    `json:"regex"`
	CSV      *CSV      `json:"csv"`
	JSON     bool      `json:"json"`
	KeyValue *KeyValue `json:"key_value"`
	NMEA     bool      `json:"nmea"`
	Binary   bool      `json:"binary"`
	Text     bool      `json:"text"` // all of it is one text

	Begins    Bytes    `json:"begins"`    // frames that begin otherwise are not the device's; it is not parsed
	Address   string   `json:"address"`   // the field that must hold the device's address
	Decimal   string   `json:"decimal"`   // "." or ","
	Thousands string   `json:"thousands"` // between groups of three digits; empty for none
	Overload  []string `json:"overload"`  // texts in place of a number, beside the usual

	parser  parser
	address int // of the address's cell, -1 without
	cells   []cell
}

// cell is what a frame says of one field.
type cell struct {
	here  bool // false: it says nothing
	text  string
	value bridges.Value // in place of the text, where the form is not text
	code  string        // why there is no value, empty when there is one
}

// parser takes frames of one form apart. One goroutine may use it.
type parser interface {
	// bind makes a cell for a field and gives its number; p is the point that wants it, nil for the address.
	bind(field string, p *Point) (int, error)
	// parse fills the cells, which are as many as were bound, all zero; false when the frame has another form.
	parse(body []byte, cells []cell) bool
}

// check makes the parser; at is where the parse object stands.
func (p *Parse) check(f *bridges.Faults, at string, address string) {
	if p.Decimal == "" {
		p.Decimal = "."
	}
	f.OneOf(at+"/decimal", p.Decimal, ".", ",")
	f.OneOf(at+"/thousands", p.Thousands, "", ".", ",", "'", " ")
	if p.Thousands == p.Decimal {
		f.Add(at+"/thousands", bridges.Invalid, "must differ from decimal")
	}
	if len(p.Overload) > maxOverload {
		f.Add(at+"/overload", bridges.OutOfRange, "%d are too many, at most %d are allowed", len(p.Overload), maxOverload)
	}
	checkLength(f, at+"/begins", string(p.Begins), 0, maxMark)
	p.build(f, at)
	p.address = -1
	switch {
	case p.Address == "":
	case address == "":
		f.Add(at+"/address", bridges.Invalid, "needs the address of the device beside parse")
	case p.parser != nil:
		i, err := p.parser.bind(p.Address, nil)
		if err != nil {
			f.Add(at+"/address", bridges.Invalid, "%s", err)
		}
		p.address = i
	}
}

// build chooses the parser.
func (p *Parse) build(f *bridges.Faults, at string) {
	var named []string
	for _, form := range []struct {
		name string
		set  bool
	}{
		{"regex", p.Regex != ""}, {"csv", p.CSV != nil}, {"json", p.JSON}, {"key_value", p.KeyValue != nil},
		{"nmea", p.NMEA}, {"binary", p.Binary}, {"text", p.Text},
	} {
		if form.set {
			named = append(named, form.name)
		}
	}
	switch {
	case len(named) == 0:
		f.Add(at+"/regex", bridges.Required, "is needed, or another way to parse: csv, json, key_value, nmea, binary, text")
		return
	case len(named) > 1:
		f.Add(at, bridges.Invalid, "must have one of %s, not all", strings.Join(named, " and "))
		return
	}
	switch named[0] {
	case "regex":
		p.parser = newRegexParser(f, at+"/regex", p.Regex)
	case "csv":
		p.parser = newCSVParser(f, at+"/csv", p.CSV)
	case "key_value":
		checkLength(f, at+"/key_value/pair", p.KeyValue.Pair, 1, maxMark)
		checkLength(f, at+"/key_value/equals", p.KeyValue.Equals, 1, maxMark)
		p.parser = &pairParser{KeyValue: *p.KeyValue}
	case "json":
		p.parser = &jsonParser{}
	case "nmea":
		p.parser = &nmeaParser{}
	case "binary":
		p.parser = &binaryParser{}
	case "text":
		p.parser = &textParser{}
	}
}

// verdict is what a frame is to a device.
type verdict int

const (
	otherForm verdict = iota // it has not the form of the device's frames
	foreign                  // it has, but comes from another address
	unasked                  // it is the device's, who only answers, and was not asked
	own
)

// read fills the cells of a frame's body.
func (p *Parse) read(body []byte, bound int, address string) ([]cell, verdict) {
	if !strings.HasPrefix(string(body), string(p.Begins)) {
		return nil, otherForm
	}
	if cap(p.cells) < bound {
		p.cells = make([]cell, bound)
	}
	p.cells = p.cells[:bound]
	clear(p.cells)
	if !p.parser.parse(body[len(p.Begins):], p.cells) {
		return nil, otherForm
	}
	if p.address >= 0 {
		if c := p.cells[p.address]; !c.here || !c.says(address) {
			return nil, foreign
		}
	}
	return p.cells, own
}

// says tells whether the cell holds the text or the number that it spells.
func (c cell) says(text string) bool {
	if c.value.IsNone() {
		return strings.TrimSpace(c.text) == text
	}
	return c.value.String() == text
}

// fieldList numbers fields in the order in which they are bound.
type fieldList []string

func (l *fieldList) number(field string) int {
	if i := slices.Index(*l, field); i >= 0 {
		return i
	}
	*l = append(*l, field)
	return len(*l) - 1
}

// plainText is a body as text without line ends around it.
func plainText(body []byte) string { return strings.Trim(decodeText(body), "\r\n") }

// textParser takes the whole text.
type textParser struct{ bound int }

func (t *textParser) bind(string, *Point) (int, error) {
	t.bound = 1
	return 0, nil
}

func (t *textParser) parse(body []byte, cells []cell) bool {
	if t.bound > 0 {
		cells[0] = cell{here: true, text: plainText(body)}
	}
	return true
}
