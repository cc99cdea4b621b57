package line

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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

// CSV is a line of columns.
type CSV struct {
	Separator string   `json:"separator"` // one character
	Quote     string   `json:"quote"`     // one character, empty for none
	Columns   []string `json:"columns"`   // their names
	Header    bool     `json:"header"`    // the device sends a line of their names first
	Count     int      `json:"count"`     // how many a line must have; 0 for at least as many as are used
}

// SetDefaults fills in comma and double quote.
func (c *CSV) SetDefaults() { c.Separator, c.Quote = ",", `"` }

// KeyValue is a line of pairs, such as T=21.5,H=40.
type KeyValue struct {
	Pair   string `json:"pair"`   // between two pairs
	Equals string `json:"equals"` // between key and value
}

// SetDefaults fills in comma and equals sign.
func (k *KeyValue) SetDefaults() { k.Pair, k.Equals = ",", "=" }

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

// regexParser takes the named groups of a regular expression.
type regexParser struct {
	fieldList
	regex  *regexp.Regexp
	groups []int
}

func newRegexParser(f *bridges.Faults, at, text string) parser {
	checkLength(f, at, text, 1, maxRegex)
	if f.Has(at) {
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		f.Add(at, bridges.Invalid, "is no regular expression: %s", regexWords(text, err))
		return nil
	}
	return &regexParser{regex: re}
}

// regexWords says what is wrong with a regular expression, and where.
func regexWords(text string, err error) string {
	wrong, ok := errors.AsType[*syntax.Error](err)
	if !ok {
		return err.Error()
	}
	words := string(wrong.Code)
	if i := strings.Index(text, wrong.Expr); i >= 0 && wrong.Expr != "" && wrong.Expr != text {
		return fmt.Sprintf("%s at character %d: %s", words, utf8.RuneCountInString(text[:i])+1, wrong.Expr)
	}
	return words + ": " + wrong.Expr
}

func (r *regexParser) bind(field string, _ *Point) (int, error) {
	group := r.regex.SubexpIndex(field)
	if group < 0 {
		return 0, fmt.Errorf("the regex has no group (?P<%s>...); it has %s", field, groupNames(r.regex))
	}
	i := r.number(field)
	if i == len(r.groups) {
		r.groups = append(r.groups, group)
	}
	return i, nil
}

func (r *regexParser) parse(body []byte, cells []cell) bool {
	text := plainText(body)
	found := r.regex.FindStringSubmatchIndex(text)
	if found == nil {
		return false
	}
	for i, g := range r.groups {
		if from, to := found[2*g], found[2*g+1]; from >= 0 {
			cells[i] = cell{here: true, text: text[from:to]}
		}
	}
	return true
}

func groupNames(regex *regexp.Regexp) string {
	names := slices.DeleteFunc(slices.Clone(regex.SubexpNames()), func(s string) bool { return s == "" })
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
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

// csvParser takes columns.
type csvParser struct {
	CSV
	fieldList
	separator, quote byte
	columns          []int // of the fields; -1 while the header line is missing
	least            int   // columns
	row              []string
}

func newCSVParser(f *bridges.Faults, at string, c *CSV) parser {
	if c.Separator == `\t` {
		c.Separator = "\t"
	}
	for _, x := range []struct{ field, text string }{{"/separator", c.Separator}, {"/quote", c.Quote}} {
		if len(x.text) > 1 || x.text == "" && x.field == "/separator" {
			f.Add(at+x.field, bridges.Invalid, "must be one character, such as %s", map[string]string{"/separator": `"," or ";"`, "/quote": `'"'`}[x.field])
		}
	}
	if c.Quote == c.Separator {
		f.Add(at+"/quote", bridges.Invalid, "must differ from separator")
	}
	bridges.CheckRange(f, at+"/count", c.Count, 0, maxColumns)
	if len(c.Columns) > maxColumns {
		f.Add(at+"/columns", bridges.OutOfRange, "%d are too many, at most %d are allowed", len(c.Columns), maxColumns)
	}
	for i, name := range c.Columns {
		if name != "" && slices.Contains(c.Columns[:i], name) {
			f.Add(at+"/columns/"+strconv.Itoa(i), bridges.Invalid, "is used twice")
		}
	}
	if c.Header && len(c.Columns) > 0 {
		f.Add(at+"/header", bridges.Invalid, "must be left out when columns gives the names")
	}
	if f.Has(at) {
		return nil
	}
	p := &csvParser{CSV: *c, separator: c.Separator[0]}
	if c.Quote != "" {
		p.quote = c.Quote[0]
	}
	p.least = len(c.Columns)
	return p
}

// bind takes the number of a column, from 1, or its name.
func (c *csvParser) bind(field string, _ *Point) (int, error) {
	column := slices.Index(c.Columns, field)
	if n, err := strconv.Atoi(field); err == nil && column < 0 {
		if n < 1 || n > maxColumns || c.Count > 0 && n > c.Count {
			return 0, fmt.Errorf("must be a column from 1 to %d", maxOr(c.Count, maxColumns))
		}
		column = n - 1
	} else if column < 0 && !c.Header {
		return 0, fmt.Errorf("must be the number of a column, from 1, or one of csv.columns, not %s", field)
	}
	i := c.number(field)
	if i == len(c.columns) {
		c.columns = append(c.columns, column)
	}
	c.least = max(c.least, column+1)
	return i, nil
}

func maxOr(n, other int) int {
	if n > 0 {
		return n
	}
	return other
}

func (c *csvParser) parse(body []byte, cells []cell) bool {
	var ok bool
	c.row, ok = SplitCSV(c.row[:0], plainText(body), c.separator, c.quote)
	if !ok || c.takeHeader() || len(c.row) < c.least || c.Count > 0 && len(c.row) != c.Count || slices.Contains(c.columns, -1) {
		return false
	}
	for i, column := range c.columns {
		cells[i] = cell{here: true, text: c.row[column]}
	}
	return true
}

// takeHeader tells whether the row is the header line, which has every field's name.
func (c *csvParser) takeHeader() bool {
	if !c.Header {
		return false
	}
	at := make([]int, len(c.fieldList))
	for i, name := range c.fieldList {
		if at[i] = slices.IndexFunc(c.row, func(s string) bool { return strings.TrimSpace(s) == name }); at[i] < 0 {
			return false
		}
	}
	c.columns, c.least = at, len(c.row)
	return true
}

// SplitCSV appends the columns of a line to row. A column that begins with the
// quote (0 for none) ends with it, and doubled it stands for itself; false when it does not end.
func SplitCSV(row []string, line string, separator, quote byte) ([]string, bool) {
	for {
		if quote != 0 && strings.HasPrefix(line, string(rune(quote))) {
			value, rest, ok := quoted(line[1:], quote)
			if !ok || rest != "" && rest[0] != separator {
				return row, false
			}
			row = append(row, value)
			if rest == "" {
				return row, true
			}
			line = rest[1:]
			continue
		}
		i := strings.IndexByte(line, separator)
		if i < 0 {
			return append(row, line), true
		}
		row, line = append(row, line[:i]), line[i+1:]
	}
}

// quoted reads up to the closing quote.
func quoted(text string, quote byte) (value, rest string, ok bool) {
	for i := 0; ; {
		j := strings.IndexByte(text[i:], quote)
		if j < 0 {
			return "", "", false
		}
		i += j
		if i+1 >= len(text) || text[i+1] != quote {
			q := string(rune(quote))
			return strings.ReplaceAll(text[:i], q+q, q), text[i+1:], true
		}
		i += 2
	}
}
