package sim

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fieldgate/bridges/template"
)

// Sample is a Modbus device that holds the samples of a template. What the template
// lets a person write can be written. Reads may go over gaps between its points, not
// beyond them (exception 2). All methods may be called at the same time.
type Sample struct {
	vendor, product string

	mu     sync.Mutex // protects what follows
	tables map[Table]map[int]uint16
	writes map[Table]map[int]bool
}

var (
	_ Device     = (*Sample)(nil)
	_ Identified = (*Sample)(nil)
)

// sampled is what the simulation needs to know of a template's point.
type sampled struct {
	ID        string           `json:"id"`
	Table     string           `json:"table"`
	Address   json.RawMessage  `json:"address"`
	Type      string           `json:"type"`
	Order     string           `json:"order"`
	Length    int              `json:"length"`
	Bit       *int             `json:"bit"`
	Scale     *float64         `json:"scale"`
	Offset    float64          `json:"offset"`
	ScaleFrom string           `json:"scale_from"`
	Enum      map[int64]string `json:"enum"`
	SunSpec   *struct {
		Models []int `json:"models"`
		Offset int   `json:"offset"`
	} `json:"sunspec"`
	Write  json.RawMessage `json:"write"`
	Sample any             `json:"sample"`

	manual bool // the device's addresses count from 1
}

// NewSample makes the device of a template of the kind modbus. It fails when a point has no sample or one that does not fit.
func NewSample(t *template.Template) (*Sample, error) {
	return NewSampleAt(t, Layout{Base: 40000, Common: 66})
}

// NewSampleAt makes the device of a template with another SunSpec map than the usual.
func NewSampleAt(t *template.Template, l Layout) (*Sample, error) {
	s := &Sample{vendor: t.Manufacturer, product: t.Model, tables: map[Table]map[int]uint16{}, writes: map[Table]map[int]bool{}}
	for _, table := range []Table{Coils, DiscreteInputs, HoldingRegisters, InputRegisters} {
		s.tables[table], s.writes[table] = map[int]uint16{}, map[int]bool{}
	}
	order := "ABCD"
	if raw, ok := t.Device["order"]; ok {
		if err := json.Unmarshal(raw, &order); err != nil {
			return nil, fmt.Errorf("order: %w", err)
		}
	}
	manual := string(t.Device["addresses"]) == `"manual"`
	points := make([]sampled, len(t.Points))
	for i, p := range t.Points {
		raw, err := json.Marshal(p)
		if err == nil {
			points[i].Order, points[i].manual = order, manual
			err = json.Unmarshal(raw, &points[i])
		}
		if err != nil {
			return nil, fmt.Errorf("point %s: %w", p.ID(), err)
		}
	}
	chain := s.layChain(points, l)
	for i := range points {
		if err := s.put(&points[i], points, chain); err != nil {
			return nil, fmt.Errorf("point %s: %w", points[i].ID, err)
		}
	}
	return s, nil
}

// Layout says how a simulated device lays its SunSpec map.
type Layout struct {
	Base    int     // address of the mark: 40000, 50000 or 0
	Common  int     // length of the common block: 66, or 65 where the pad is left out
	Variant int     // which of the models that a point names the device has: 0 the last, 1 the first, 2 the second...
	Before  []Block // other models between the mark and those of the template
	NoEnd   bool    // the end mark is missing: what is behind refuses to be read
	Absent  []int   // models that the device does not have
}

// Block is a model that the template does not name; each register is Fill.
type Block struct {
	ID, Length int
	Fill       uint16
}

// sunSpecLengths are the registers behind the two of the head [SunSpec models 1, 101 to 113, 124, 201 to 214; 160 with two modules].
func sunSpecLengths() map[int]int {
	lengths := map[int]int{1: 66, 124: 24, 160: 8 + 2*20}
	for variant := range 3 {
		lengths[101+variant], lengths[111+variant] = 50, 60
	}
	for variant := range 4 {
		lengths[201+variant], lengths[211+variant] = 105, 124
	}
	return lengths
}

// model gives the one of the point's models that the device has.
func (p *sampled) model(l Layout) int {
	models := p.SunSpec.Models
	if l.Variant == 0 || l.Variant > len(models) {
		return models[len(models)-1]
	}
	return models[l.Variant-1]
}

// layChain lays the SunSpec models that the points ask for, and gives the address of each point's model.
func (s *Sample) layChain(points []sampled, l Layout) map[*sampled]int {
	known, lengths := sunSpecLengths(), map[int]int{}
	known[1] = l.Common
	for i := range points {
		p := &points[i]
		if p.SunSpec == nil {
			continue
		}
		id := p.model(l)
		length, isKnown := known[id]
		if !isKnown { // a model of an own template is as long as its points
			length = max(lengths[id], p.SunSpec.Offset+max(p.Length, 4)-2)
		}
		lengths[id] = length
	}
	if len(lengths) == 0 {
		return nil
	}
	registers, at := s.tables[HoldingRegisters], l.Base+2
	registers[l.Base], registers[l.Base+1] = 'S'<<8|'u', 'n'<<8|'S'
	lay := func(id, length int, fill uint16) {
		registers[at], registers[at+1] = uint16(id), uint16(length)
		for i := range length {
			registers[at+2+i] = fill
		}
		at += 2 + length
	}
	for _, b := range l.Before {
		lay(b.ID, b.Length, b.Fill)
	}
	where := map[int]int{}
	for _, id := range slices.Sorted(maps.Keys(lengths)) {
		if !slices.Contains(l.Absent, id) {
			where[id] = at
			lay(id, lengths[id], 0)
		}
	}
	if !l.NoEnd {
		registers[at], registers[at+1] = 0xFFFF, 0
	}
	chain := map[*sampled]int{}
	for i := range points {
		if p := &points[i]; p.SunSpec != nil {
			chain[p] = where[p.model(l)]
		}
	}
	return chain
}

func (s *Sample) put(p *sampled, points []sampled, chain map[*sampled]int) error {
	if p.SunSpec != nil && chain[p] == 0 {
		return nil // in a model that the device does not have
	}
	table, address, err := p.place(chain)
	if err != nil {
		return err
	}
	words, err := p.words(table, points)
	if err != nil {
		return err
	}
	if p.Bit != nil {
		words[0] = s.tables[table][address]&^(1<<*p.Bit) | words[0]<<*p.Bit
	}
	for i, w := range words {
		s.tables[table][address+i] = w
		s.writes[table][address+i] = p.Write != nil || s.writes[table][address+i]
	}
	return nil
}

func (p *sampled) place(chain map[*sampled]int) (Table, int, error) {
	if p.SunSpec != nil {
		return HoldingRegisters, chain[p] + p.SunSpec.Offset, nil
	}
	text := strings.Trim(string(p.Address), `"`)
	table, known := map[string]Table{"": HoldingRegisters, "holding": HoldingRegisters, "input": InputRegisters, "coil": Coils, "discrete_input": DiscreteInputs}[p.Table]
	named, address, ok := placeInManual(text, p.manual)
	if !ok {
		n, err := strconv.ParseUint(text, 0, 16)
		address, ok = int(n), err == nil
	}
	if named != 0 && p.Table == "" {
		table = named
	}
	if !known || !ok {
		return 0, 0, fmt.Errorf("table %q, address %s: there is no such register", p.Table, p.Address)
	}
	return table, address, nil
}

// placeInManual reads 400001 and 4x1 as manuals write them, and 40001 and 1 where the device counts so. ok is false for what is none.
func placeInManual(text string, countsFromOne bool) (table Table, address int, ok bool) {
	digits := map[byte]Table{'0': Coils, '1': DiscreteInputs, '3': InputRegisters, '4': HoldingRegisters}
	n, err := strconv.Atoi(text)
	switch {
	case len(text) > 2 && text[1] == 'x' && text[0] != '0':
		n, err = strconv.Atoi(text[2:])
		return digits[text[0]], n - 1, err == nil && n > 0
	case err != nil:
		return 0, 0, false
	case len(text) == 6, len(text) == 5 && countsFromOne && digits[text[0]] != 0:
		n, err = strconv.Atoi(text[1:])
		return digits[text[0]], n - 1, err == nil && n > 0
	}
	return 0, n - 1, countsFromOne && n > 0
}

// words gives the registers of the sample, or one with 0 or 1 for a bit.
func (p *sampled) words(table Table, points []sampled) ([]uint16, error) {
	if table == Coils || table == DiscreteInputs || p.Bit != nil || p.Type == "bool" {
		on, isBool := p.Sample.(bool)
		if label, isText := p.Sample.(string); isText {
			on, isBool = p.Enum[1] == label, true
		}
		if !isBool {
			return nil, fmt.Errorf("the sample %v is neither true nor false", p.Sample)
		}
		if on {
			return []uint16{1}, nil
		}
		return []uint16{0}, nil
	}
	switch p.Type {
	case "string":
		text, _ := p.Sample.(string)
		b := make([]byte, 2*p.Length)
		copy(b, text)
		return p.exchange(b), nil
	case "raw":
		text, _ := p.Sample.(string)
		b, err := hex.DecodeString(text)
		return p.exchange(b), err
	}
	value, err := p.number()
	if err != nil {
		return nil, err
	}
	if p.Scale != nil {
		value = (value - p.Offset) / *p.Scale
	} else {
		value -= p.Offset
	}
	if i := slices.IndexFunc(points, func(x sampled) bool { return p.ScaleFrom != "" && x.ID == p.ScaleFrom }); i >= 0 {
		power, err := points[i].number()
		if err != nil {
			return nil, err
		}
		value *= math.Pow(10, -power)
	}
	return p.registers(value)
}

// exchange makes registers of bytes, in the order that the point has for texts.
func (p *sampled) exchange(b []byte) []uint16 {
	words := make([]uint16, len(b)/2)
	for i := range words {
		words[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		if p.Order == "BADC" || p.Order == "DCBA" {
			words[i] = words[i]<<8 | words[i]>>8
		}
	}
	return words
}

func (p *sampled) number() (float64, error) {
	switch v := p.Sample.(type) {
	case float64:
		return v, nil
	case string:
		for n, label := range p.Enum {
			if label == v {
				return float64(n), nil
			}
		}
		if p.Type == "bits" {
			return p.bits(v), nil
		}
	}
	return 0, fmt.Errorf("the sample %v is no number and no label", p.Sample)
}

// bits sets those whose names the sample lists.
func (p *sampled) bits(names string) (n float64) {
	for _, name := range strings.Split(names, ", ") {
		for bit, label := range p.Enum {
			if label == name {
				n += math.Pow(2, float64(bit))
			}
		}
	}
	return n
}

// registers writes a raw value as the type and the order say.
func (p *sampled) registers(value float64) ([]uint16, error) {
	var raw uint64
	size := 1
	switch p.Type {
	case "float32":
		raw, size = uint64(math.Float32bits(float32(value))), 2
	case "float64":
		raw, size = math.Float64bits(value), 4
	case "", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bits", "bcd16", "bcd32":
		whole := math.Round(value)
		if math.Abs(whole-value) > 1e-6*math.Max(1, math.Abs(value)) {
			return nil, fmt.Errorf("the sample %v is no multiple of the scale", p.Sample)
		}
		raw = uint64(int64(whole))
		switch {
		case strings.HasSuffix(p.Type, "32"):
			size = 2
		case strings.HasSuffix(p.Type, "64"):
			size = 4
		case p.Type == "bits":
			size = max(p.Length, 1)
		}
		if strings.HasPrefix(p.Type, "bcd") {
			digits, err := strconv.ParseUint(strconv.FormatUint(raw, 10), 16, 64)
			if err != nil {
				return nil, err
			}
			raw = digits
		}
	default:
		return nil, fmt.Errorf("the simulation does not know the type %s", p.Type)
	}
	words := make([]uint16, size)
	for i := range words {
		words[size-1-i] = uint16(raw >> (16 * i))
	}
	if p.Order == "CDAB" || p.Order == "DCBA" {
		slices.Reverse(words)
	}
	if p.Order == "BADC" || p.Order == "DCBA" {
		for i, w := range words {
			words[i] = w<<8 | w>>8
		}
	}
	return words, nil
}

// Hold lays words into a table, whatever a template says of them.
func (s *Sample) Hold(table Table, address int, words ...uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range words {
		s.tables[table][address+i] = w
	}
}

// Identity tells who makes the device and what it is.
func (s *Sample) Identity() (vendor, product, revision string) { return s.vendor, s.product, "1.0" }

// ReadBits gives coils or inputs.
func (s *Sample) ReadBits(table Table, address, quantity int) ([]bool, Exception) {
	words, e := s.ReadRegisters(table, address, quantity)
	bits := make([]bool, len(words))
	for i, w := range words {
		bits[i] = w != 0
	}
	return bits, e
}

// ReadRegisters gives registers.
func (s *Sample) ReadRegisters(table Table, address, quantity int) ([]uint16, Exception) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.tables[table]
	first, last := 1<<16, -1
	for a := range held {
		first, last = min(first, a), max(last, a)
	}
	if address < first || address+quantity-1 > last {
		return nil, IllegalAddress
	}
	words := make([]uint16, quantity)
	for i := range words {
		words[i] = held[address+i]
	}
	return words, OK
}

// WriteBits switches coils.
func (s *Sample) WriteBits(address int, values []bool) Exception {
	words := make([]uint16, len(values))
	for i, on := range values {
		if on {
			words[i] = 1
		}
	}
	return s.write(Coils, address, words)
}

// WriteRegisters changes what the template lets a person write.
func (s *Sample) WriteRegisters(address int, values []uint16) Exception {
	return s.write(HoldingRegisters, address, values)
}

func (s *Sample) write(table Table, address int, words []uint16) Exception {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range words {
		if !s.writes[table][address+i] {
			return IllegalAddress
		}
	}
	for i, w := range words {
		s.tables[table][address+i] = w
	}
	return OK
}

// ServeLines sends lines one after the other, and again from the first, one every
// interval, until ctx is done (nil) or the line fails. It closes w when it ends.
func ServeLines(ctx context.Context, w io.WriteCloser, lines []string, interval time.Duration) error {
	defer w.Close()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := io.WriteString(w, lines[i%len(lines)]); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serve lines: %w", err)
		}
	}
}

// ServeAnswers gives the next line for every delimiter that comes, and the first after
// the last, until ctx is done (nil) or the line fails. It closes rw when it ends.
func ServeAnswers(ctx context.Context, rw io.ReadWriteCloser, delimiter byte, lines []string) error {
	stop := context.AfterFunc(ctx, func() { _ = rw.Close() })
	defer stop()
	defer rw.Close()
	buf, next := make([]byte, 256), 0
	for {
		n, err := rw.Read(buf)
		for _, c := range buf[:n] {
			if c != delimiter || err != nil {
				continue
			}
			_, err = io.WriteString(rw, lines[next%len(lines)])
			next++
		}
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("serve answers: %w", err)
		}
	}
}

// Lines gives what a template of the kind line sends, with the ends of lines, and
// whether it waits to be asked.
func Lines(t *template.Template) (lines []string, asked bool) {
	for _, l := range t.Lines {
		lines = append(lines, l+"\r\n")
	}
	_, asked = t.Device["request"]
	return lines, asked
}
