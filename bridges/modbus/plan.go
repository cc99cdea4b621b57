package modbus

import (
	"fmt"
	"slices"
	"strings"

	"fieldgate/bridges"
)

// span is a range of addresses of one table with the points in it.
type span struct {
	table    Table
	address  int
	quantity int
	points   []*Point
}

// read gives the value of a point from the answer to a read of the span.
func (s *span) read(p *Point, answer []byte) bridges.Value {
	at := p.Address - s.address
	if s.table.bits() {
		return p.boolean(answer[at/8]>>(at%8)&1 == 1)
	}
	if from := p.from; from != nil && from.Table == s.table && from.Address >= s.address && from.Address+from.size() <= s.address+s.quantity {
		s.read(from, answer) // its power of ten is that of the same moment
	}
	return p.decode(answer[2*at : 2*(at+p.size())])
}

// answerBytes is how many bytes the answer to a read of the span carries.
func (s *span) answerBytes() int {
	if s.table.bits() {
		return (s.quantity + 7) / 8
	}
	return 2 * s.quantity
}

// Gaps that cost less to read than a request of their own: a request and its
// answer have 13 characters more than their data, and two silences.
const (
	registerGap = 10
	bitGap      = 100
)

// plan puts neighbouring points into one read, without splitting a point.
func plan(points []*Point, maxRead int) []span {
	sorted := slices.Clone(points)
	slices.SortStableFunc(sorted, func(a, b *Point) int {
		if c := strings.Compare(string(a.Table), string(b.Table)); c != 0 {
			return c
		}
		return a.Address - b.Address
	})
	var spans []span
	for _, p := range sorted {
		most, gap := maxRead, registerGap
		if p.Table.bits() {
			most, gap = maxBits, bitGap
		}
		end := p.Address + p.size()
		if n := len(spans) - 1; n >= 0 && spans[n].table == p.Table {
			last := &spans[n]
			lastEnd := last.address + last.quantity
			if p.Address-lastEnd <= gap && max(end, lastEnd)-last.address <= most {
				last.quantity = max(end, lastEnd) - last.address
				last.points = append(last.points, p)
				continue
			}
		}
		spans = append(spans, span{table: p.Table, address: p.Address, quantity: p.size(), points: []*Point{p}})
	}
	return spans
}

// halves splits a span that a device refuses, to find out which points it has.
func (s *span) halves() []span {
	n := len(s.points) / 2
	var spans []span
	for _, points := range [][]*Point{s.points[:n], s.points[n:]} {
		most := maxRegisters
		if s.table.bits() {
			most = maxBits
		}
		spans = append(spans, plan(points, most)...)
	}
	return spans
}

// String names the span for a person.
func (s *span) String() string {
	return fmt.Sprintf("%d %s at address %d", s.quantity, tableWords(s.table, s.quantity), s.address)
}

func tableWords(t Table, n int) string {
	words := map[Table]string{Coil: "coil", DiscreteInput: "discrete input", Holding: "holding register", Input: "input register"}[t]
	if n != 1 {
		words += "s"
	}
	return words
}
