package api

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"fieldgate/internal/fault"
	"fieldgate/internal/ordered"
)

// Points as a table: a row a point, a column a key of its settings. Keys of name and write
// have columns of their own with a dot between; enum and invalid have a short form; any other object is JSON, and so
// is a text that would be read as something else ("5", with its quotes).

const (
	maxRows    = 2000
	maxColumns = 200
)

// firstColumns are the order in which keys are written; others follow by name.
func firstColumns() []string {
	return []string{
		"id", "name.en", "name.zh", "table", "address", "type", "order", "length", "bit", "scale", "offset", "scale_from", "precision", "unit", "enum", "invalid",
		"deadband", "on_change", "heartbeat", "interval", "enabled", "publish", "write", "write.min", "write.max", "write.step", "write.verify", "write.function",
	}
}

// plainTexts are columns whose cells are texts whatever they look like.
func plainTexts() []string {
	return []string{"id", "name.en", "name.zh", "table", "type", "order", "scale_from", "unit", "heartbeat", "interval", "field", "unit_field", "sample"}
}

// cells flattens a point into cells by column.
func (f tableForm) cells(p object) map[string]string {
	out := map[string]string{}
	for _, m := range p {
		nested, err := parseObject(m.Value)
		switch {
		case isNull(m.Value): // the same as left out
		case err == nil && m.Key == "write" && len(nested) == 0:
			out[m.Key] = "true"
		case err == nil && (m.Key == "write" || m.Key == "name"):
			for _, n := range nested {
				if column := m.Key + "." + n.Key; !isNull(n.Value) {
					out[column] = f.cell(column, n.Value)
				}
			}
		default:
			out[m.Key] = f.cell(m.Key, m.Value)
		}
	}
	return out
}

// cell writes a setting in its short form, or as JSON where that would be read as something else.
func (f tableForm) cell(column string, v json.RawMessage) string {
	short := shortForm(column, v)
	// White space at the ends goes when a table is read, and spreadsheets make of a line break what they like.
	if short != "" && short == strings.TrimSpace(short) && !strings.ContainsFunc(short, unicode.IsControl) {
		if back, err := settingOf(column, short, f.comma()); err == nil && back != nil && etag(back) == etag(v) {
			return short
		}
	}
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return short
	}
	return b.String()
}

// shortForm writes a setting as people do.
func shortForm(column string, v json.RawMessage) string {
	if column == "invalid" {
		return joined(v)
	}
	labels, err := parseObject(v)
	if err != nil || column != "enum" {
		return plain(v)
	}
	var parts []string
	for _, label := range labels {
		parts = append(parts, label.Key+"="+plain(label.Value))
	}
	return strings.Join(parts, "|")
}

// plain writes a JSON value, a text without quotes.
func plain(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil && !isNull(v) {
		return s
	}
	return string(bytes.TrimSpace(v))
}

// joined writes a list of plain values with bars between.
func joined(v json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(v, &list) != nil {
		return plain(v)
	}
	parts := make([]string, len(list))
	for i, x := range list {
		parts[i] = plain(x)
	}
	return strings.Join(parts, "|")
}

// tableForm is how a CSV is written.
type tableForm struct {
	separator rune
	decimal   string // "." or ","
	bom       bool
}

// comma tells that who reads it takes a comma between digits for a decimal one.
func (f tableForm) comma() bool { return f.separator != ',' }

// writePoints makes a CSV [RFC 4180] that is safe to open in a spreadsheet.
func writePoints(points []object, form tableForm) []byte {
	rows, used := make([]map[string]string, len(points)), map[string]bool{"id": true}
	for i, p := range points {
		rows[i] = form.cells(p)
		for column := range rows[i] {
			used[column] = true
		}
	}
	var columns, others []string
	for _, c := range firstColumns() {
		if used[c] {
			columns = append(columns, c)
			delete(used, c)
		}
	}
	for c := range used {
		others = append(others, c)
	}
	slices.Sort(others)
	columns = append(columns, others...)
	var b bytes.Buffer
	if form.bom {
		b.WriteString("\ufeff")
	}
	w := csv.NewWriter(&b)
	w.Comma, w.UseCRLF = form.separator, true
	_ = w.Write(columns) // into memory: nothing can fail
	for _, row := range rows {
		record := make([]string, len(columns))
		for i, c := range columns {
			record[i] = form.guarded(c, row[c])
		}
		_ = w.Write(record)
	}
	w.Flush()
	return b.Bytes()
}

// guarded writes a cell so that no spreadsheet takes it for a formula.
func (f tableForm) guarded(column, text string) string {
	if text == "" {
		return ""
	}
	if !slices.Contains(plainTexts(), column) && isNumber(text) {
		return strings.Replace(text, ".", f.decimal, 1)
	}
	if strings.ContainsRune("=+-@\t\r'", rune(text[0])) {
		return "'" + text
	}
	return text
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && json.Valid([]byte(text))
}

// rowFault is a fault of a cell. Row 1 is the header; 0 stands for the whole.
type rowFault struct {
	Row    int        `json:"row"`
	Column string     `json:"column"`
	Code   fault.Code `json:"code"`
	Detail string     `json:"detail"`
}

// row is a point as it came, and where it stood.
type row struct {
	number int
	point  object
}

// readPoints reads a CSV as writePoints makes it, or as spreadsheets do.
func readPoints(text []byte) ([]row, []rowFault) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) || bytes.ContainsRune(text, 0) {
		return nil, []rowFault{{Code: fault.Invalid, Detail: `is no UTF-8; save it as "CSV UTF-8"`}}
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord = separatorOf(text), -1
	comma := r.Comma != ','
	header, err := r.Read()
	if err != nil {
		return nil, []rowFault{{Row: 1, Code: fault.Invalid, Detail: "the first row must name the columns: id, table, address and so on"}}
	}
	if faults := checkHeader(header); len(faults) > 0 {
		return nil, faults
	}
	var rows []row
	var faults []rowFault
	for number := 2; ; {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, faults
		}
		if e, broken := errors.AsType[*csv.ParseError](err); broken {
			return rows, append(faults, rowFault{Row: e.StartLine, Code: fault.Invalid, Detail: e.Err.Error()})
		}
		if err != nil {
			return rows, append(faults, rowFault{Row: number, Code: fault.Invalid, Detail: err.Error()})
		}
		number, _ = r.FieldPos(0) // blank lines count too
		if blank(record) {
			continue
		}
		if len(rows) == maxRows {
			return rows, append(faults, rowFault{Row: number, Code: fault.TooMany, Detail: fmt.Sprintf("at most %d points are allowed", maxRows)})
		}
		if len(record) > len(header) && !blank(record[len(header):]) {
			faults = append(faults, rowFault{Row: number, Code: fault.Invalid, Detail: fmt.Sprintf("has %d cells, the header %d", len(record), len(header))})
			continue
		}
		p, wrong := pointOf(header, record, comma)
		for i := range wrong {
			wrong[i].Row = number
		}
		faults = append(faults, wrong...)
		rows = append(rows, row{number: number, point: p})
	}
}

func checkHeader(header []string) []rowFault {
	var faults []rowFault
	seen := map[string]bool{}
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		switch name = header[i]; {
		case seen[name] && name != "":
			faults = append(faults, rowFault{Row: 1, Column: name, Code: fault.Conflict, Detail: "stands there twice"})
		case len(name) > 64:
			faults = append(faults, rowFault{Row: 1, Column: name[:16], Code: fault.OutOfRange, Detail: "must have at most 64 bytes"})
		}
		seen[name] = true
	}
	if !seen["id"] {
		faults = append(faults, rowFault{Row: 1, Column: "id", Code: fault.Required, Detail: "is needed; the first row must name the columns"})
	}
	if len(header) > maxColumns {
		faults = append(faults, rowFault{Row: 1, Code: fault.TooMany, Detail: fmt.Sprintf("at most %d columns are allowed", maxColumns)})
	}
	return faults
}

// separatorOf finds what separates the cells of the first line.
func separatorOf(text []byte) rune {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	best := ','
	for _, c := range ";\t" {
		if bytes.Count(line, []byte(string(c))) > bytes.Count(line, []byte(string(best))) {
			best = c
		}
	}
	return best
}

func blank(record []string) bool {
	return !slices.ContainsFunc(record, func(cell string) bool { return strings.TrimSpace(cell) != "" })
}

// pointOf makes the settings of a point of a row; comma tells that numbers may have a decimal comma.
func pointOf(header, record []string, comma bool) (object, []rowFault) {
	var p object
	nested := map[string]object{}
	var faults []rowFault
	for i, column := range header {
		text := ""
		if i < len(record) {
			text = strings.TrimSpace(record[i])
		}
		if text == "" || column == "" {
			continue
		}
		if text[0] == '\'' && len(text) > 1 && strings.ContainsRune("=+-@'", rune(text[1])) {
			text = text[1:]
		}
		v, err := settingOf(column, text, comma)
		if err != nil {
			faults = append(faults, rowFault{Column: column, Code: fault.Invalid, Detail: err.Error()})
			continue
		}
		outer, inner, within := strings.Cut(column, ".")
		switch {
		case within:
			o := nested[outer]
			o.Set(inner, v)
			nested[outer] = o
			p.Set(outer, o.JSON())
		case v == nil || column == "write" && p.Get("write") != nil: // "false", or its keys say more
		default:
			p.Set(column, v)
		}
	}
	return p, faults
}

// settingOf reads a cell; nil for one that says nothing.
func settingOf(column, text string, comma bool) (json.RawMessage, error) {
	number := text
	if comma && strings.Count(text, ",") == 1 {
		number = strings.Replace(text, ",", ".", 1)
	}
	lower := strings.ToLower(text)
	switch {
	case text[0] == '"' && json.Valid([]byte(text)): // a text that would be read as something else
		return json.RawMessage(text), nil
	case slices.Contains(plainTexts(), column):
		return ordered.Quote(text), nil
	case text[0] == '{' || text[0] == '[':
		if !json.Valid([]byte(text)) || depth([]byte(text)) > maxDepth {
			return nil, errors.New("begins like JSON and is none")
		}
		return json.RawMessage(text), nil
	case column == "enum":
		return enumOf(text)
	case column == "invalid":
		return invalidOf(text, comma), nil
	case column == "write" && lower == "true":
		return json.RawMessage("{}"), nil
	case column == "write" && lower == "false":
		return nil, nil
	case lower == "true" || lower == "false": // spreadsheets write them large
		return json.RawMessage(lower), nil
	case isNumber(number):
		return json.RawMessage(number), nil
	}
	return ordered.Quote(text), nil
}

func enumOf(text string) (json.RawMessage, error) {
	var labels object
	for part := range strings.SplitSeq(text, "|") {
		n, label, ok := strings.Cut(part, "=")
		if n = strings.TrimSpace(n); !ok || n == "" {
			return nil, errors.New("must be numbers and labels such as 0=off|1=on")
		}
		labels.Set(n, ordered.Quote(strings.TrimSpace(label)))
	}
	return labels.JSON(), nil
}

func invalidOf(text string, comma bool) json.RawMessage {
	var list []json.RawMessage
	for part := range strings.SplitSeq(text, "|") {
		part = strings.TrimSpace(part)
		number := part
		if comma {
			number = strings.Replace(part, ",", ".", 1)
		}
		if isNumber(number) {
			list = append(list, json.RawMessage(number))
		} else {
			list = append(list, ordered.Quote(part))
		}
	}
	raw, _ := json.Marshal(list) // made of JSON
	return raw
}
