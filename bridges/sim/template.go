package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

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
