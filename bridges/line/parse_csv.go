package line

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fieldgate/bridges"
)

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
