package line

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"fieldgate/bridges"
)

// nmeaParser takes fields of NMEA 0183 sentences, of any talker.
type nmeaParser struct {
	fieldList
	fields []nmeaField
}

// nmeaField is where a value stands in a sentence and how it is read.
type nmeaField struct {
	sentence string
	name     string
	columns  []int // from 1, behind the sentence's name
	read     func(columns []string) (bridges.Value, string)
	valid    func(columns []string) bool // whether the receiver vouches for it; nil for always
}

func (n *nmeaParser) bind(field string, _ *Point) (int, error) {
	sentence, name, _ := strings.Cut(field, ".")
	if len(sentence) != 3 || strings.ToUpper(sentence) != sentence {
		return 0, fmt.Errorf("must be a sentence and its field, such as GGA.lat or MWV.1; known are %s", strings.Join(sentenceNames(), ", "))
	}
	f, ok := nmeaFieldOf(sentence, name)
	if !ok {
		return 0, fmt.Errorf("%s has no field %s; it has %s, and 1, 2, 3... by place", sentence, name, fieldNames(sentence))
	}
	i := n.number(field)
	if i == len(n.fields) {
		n.fields = append(n.fields, f)
	}
	return i, nil
}

// parse takes a body without $ and checksum, such as GPGGA,123519,...; also with $ where no checksum was asked for.
func (n *nmeaParser) parse(body []byte, cells []cell) bool {
	text := strings.TrimLeft(plainText(body), "$!")
	if i := strings.LastIndexByte(text, '*'); i >= 0 {
		text = text[:i]
	}
	columns := strings.Split(text, ",")
	head := columns[0]
	if len(head) < 4 {
		return false
	}
	sentence := head[len(head)-3:]
	found := false
	for i, f := range n.fields {
		if f.sentence == sentence {
			cells[i] = f.cell(columns)
			found = true
		}
	}
	return found
}

func (f nmeaField) cell(columns []string) cell {
	if f.columns[len(f.columns)-1] >= len(columns) {
		return cell{} // an older or newer receiver has fewer columns
	}
	if f.valid != nil && !f.valid(columns) {
		return cell{here: true, code: codeNoFix}
	}
	var mine []string
	for _, c := range f.columns {
		if columns[c] == "" {
			return cell{here: true, code: codeEmpty}
		}
		mine = append(mine, columns[c])
	}
	if f.read == nil {
		return cell{here: true, text: mine[0]}
	}
	v, code := f.read(mine)
	return cell{here: true, value: v, text: v.String(), code: code}
}

// nmeaFields are the fields that have names.
func nmeaFields() []nmeaField {
	at := func(column int, not ...string) func([]string) bool {
		return func(c []string) bool { return column < len(c) && !slices.Contains(not, c[column]) }
	}
	gga, rmc, gll, gsa, vtg := at(6, "", "0"), at(2, "", "V"), at(6, "", "V"), at(2, "", "1"), at(9, "N")
	vtgValid := func(c []string) bool { return len(c) <= 9 || vtg(c) }
	return []nmeaField{
		{"GGA", "time", []int{1}, nmeaTime, nil},
		{"GGA", "lat", []int{2, 3}, nmeaDegrees, gga},
		{"GGA", "lon", []int{4, 5}, nmeaDegrees, gga},
		{"GGA", "quality", []int{6}, nil, nil},
		{"GGA", "satellites", []int{7}, nil, nil},
		{"GGA", "hdop", []int{8}, nil, gga},
		{"GGA", "altitude", []int{9}, nil, gga},
		{"GGA", "geoid_separation", []int{11}, nil, gga},
		{"GGA", "dgps_age", []int{13}, nil, gga},
		{"GGA", "station", []int{14}, nil, nil},
		{"RMC", "time", []int{1}, nmeaTime, nil},
		{"RMC", "status", []int{2}, nil, nil},
		{"RMC", "lat", []int{3, 4}, nmeaDegrees, rmc},
		{"RMC", "lon", []int{5, 6}, nmeaDegrees, rmc},
		{"RMC", "speed", []int{7}, nil, rmc},
		{"RMC", "course", []int{8}, nil, rmc},
		{"RMC", "date", []int{9}, nmeaDate, nil},
		{"RMC", "datetime", []int{1, 9}, nmeaDateTime, rmc},
		{"RMC", "variation", []int{10, 11}, nmeaVariation, rmc},
		{"RMC", "mode", []int{12}, nil, nil},
		{"VTG", "course", []int{1}, nil, vtgValid},
		{"VTG", "course_magnetic", []int{3}, nil, vtgValid},
		{"VTG", "speed", []int{5}, nil, vtgValid},
		{"VTG", "speed_kmh", []int{7}, nil, vtgValid},
		{"VTG", "mode", []int{9}, nil, nil},
		{"GSA", "selection", []int{1}, nil, nil},
		{"GSA", "fix", []int{2}, nil, nil},
		{"GSA", "pdop", []int{15}, nil, gsa},
		{"GSA", "hdop", []int{16}, nil, gsa},
		{"GSA", "vdop", []int{17}, nil, gsa},
		{"GLL", "lat", []int{1, 2}, nmeaDegrees, gll},
		{"GLL", "lon", []int{3, 4}, nmeaDegrees, gll},
		{"GLL", "time", []int{5}, nmeaTime, nil},
		{"GLL", "status", []int{6}, nil, nil},
		{"GLL", "mode", []int{7}, nil, nil},
		{"ZDA", "time", []int{1}, nmeaTime, nil},
		{"ZDA", "datetime", []int{1, 2, 3, 4}, nmeaZDA, nil},
		{"ZDA", "day", []int{2}, nil, nil},
		{"ZDA", "month", []int{3}, nil, nil},
		{"ZDA", "year", []int{4}, nil, nil},
		{"GSV", "satellites_in_view", []int{3}, nil, nil},
		{"HDT", "heading", []int{1}, nil, nil},
		{"MWV", "angle", []int{1}, nil, at(5, "V")},
		{"MWV", "reference", []int{2}, nil, nil},
		{"MWV", "speed", []int{3}, nil, at(5, "V")},
		{"MWV", "speed_unit", []int{4}, nil, nil},
		{"MTW", "temperature", []int{1}, nil, nil},
		{"DBT", "depth", []int{3}, nil, nil},
	}
}

// isNMEAText tells whether a field is no number.
func isNMEAText(field string) bool {
	_, name, _ := strings.Cut(field, ".")
	return slices.Contains([]string{"time", "date", "datetime", "status", "mode", "selection", "reference", "speed_unit", "station"}, name)
}

func nmeaFieldOf(sentence, name string) (nmeaField, bool) {
	if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= maxColumns {
		return nmeaField{sentence: sentence, name: name, columns: []int{n}}, true
	}
	for _, f := range nmeaFields() {
		if f.sentence == sentence && f.name == name {
			return f, true
		}
	}
	return nmeaField{}, false
}

func sentenceNames() []string {
	var names []string
	for _, f := range nmeaFields() {
		if !slices.Contains(names, f.sentence) {
			names = append(names, f.sentence)
		}
	}
	return names
}

func fieldNames(sentence string) string {
	var names []string
	for _, f := range nmeaFields() {
		if f.sentence == sentence {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		return "none by name"
	}
	return strings.Join(names, ", ")
}

// nmeaDegrees reads ddmm.mmmm and N, S, E or W as degrees, to 1e-8 (1 mm).
func nmeaDegrees(c []string) (bridges.Value, string) {
	v, ok := Degrees(c[0], c[1])
	if !ok {
		return bridges.Value{}, bridges.ErrParse
	}
	return bridges.Float(v), ""
}

// Degrees gives the degrees of an NMEA angle: "4807.038", "N" is 48.1173. false for
// what is none: 60 minutes or more, beyond 90 (N, S) or 180 degrees (E, W), no such side.
func Degrees(text, side string) (float64, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	if !isDigits(whole) || len(whole) < 3 || len(whole) > 5 || fraction != "" && !isDigits(fraction) {
		return 0, false
	}
	degrees, err := strconv.ParseFloat(whole[:len(whole)-2], 64)
	minutes, err2 := strconv.ParseFloat(text[len(whole)-2:], 64)
	limit := 90.0
	if side == "E" || side == "W" {
		limit = 180
	}
	d := degrees + minutes/60
	if err != nil || err2 != nil || minutes >= 60 || d > limit || len(side) != 1 || !strings.Contains("NSEW", side) {
		return 0, false
	}
	d = math.Round(d*1e8) / 1e8
	if side == "S" || side == "W" {
		d = -d
	}
	return d, true
}

func nmeaVariation(c []string) (bridges.Value, string) {
	v, err := strconv.ParseFloat(c[0], 64)
	if err != nil || c[1] != "E" && c[1] != "W" {
		return bridges.Value{}, bridges.ErrParse
	}
	if c[1] == "W" {
		v = -v
	}
	return bridges.Float(v), ""
}

// nmeaTime reads hhmmss.ss as 12:35:19.00Z.
func nmeaTime(c []string) (bridges.Value, string) {
	text, ok := clockText(c[0])
	if !ok {
		return bridges.Value{}, bridges.ErrParse
	}
	return bridges.Text(text + "Z"), ""
}

func clockText(t string) (string, bool) {
	whole, fraction, _ := strings.Cut(t, ".")
	if len(whole) != 6 || !isDigits(whole) || fraction != "" && !isDigits(fraction) ||
		whole[:2] > "23" || whole[2:4] > "59" || whole[4:] > "60" {
		return "", false
	}
	text := whole[:2] + ":" + whole[2:4] + ":" + whole[4:]
	if fraction != "" {
		text += "." + fraction
	}
	return text, true
}

// nmeaDate reads ddmmyy as 1994-03-23; years from 80 are those of 1900.
func nmeaDate(c []string) (bridges.Value, string) {
	text, ok := dateText(c[0])
	if !ok {
		return bridges.Value{}, bridges.ErrParse
	}
	return bridges.Text(text), ""
}

func dateText(d string) (string, bool) {
	if len(d) != 6 || !isDigits(d) {
		return "", false
	}
	century := "20"
	if d[4:] >= "80" {
		century = "19"
	}
	return calendarText(d[:2], d[2:4], century+d[4:])
}

func calendarText(day, month, year string) (string, bool) {
	if len(day) != 2 || len(month) != 2 || len(year) != 4 || !isDigits(day+month+year) ||
		day < "01" || day > "31" || month < "01" || month > "12" {
		return "", false
	}
	return year + "-" + month + "-" + day, true
}

func nmeaDateTime(c []string) (bridges.Value, string) {
	clock, ok := clockText(c[0])
	date, ok2 := dateText(c[1])
	return dateTime(date, clock, ok && ok2)
}

func nmeaZDA(c []string) (bridges.Value, string) {
	clock, ok := clockText(c[0])
	date, ok2 := calendarText(c[1], c[2], c[3])
	return dateTime(date, clock, ok && ok2)
}

func dateTime(date, clock string, ok bool) (bridges.Value, string) {
	if !ok {
		return bridges.Value{}, bridges.ErrParse
	}
	return bridges.Text(date + "T" + clock + "Z"), ""
}
