package modbus

import (
	"cmp"
	"fmt"
	"slices"
	"time"

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

// limits say how far reads may be put together.
type limits struct {
	registers   int // of one read
	registerGap int // that costs less to read along than a request of its own
	bitGap      int
}

// limitsOf tells the limits of a device on a link. A request of its own costs 13
// characters beside the data, two silences and the time that the device takes to think; over TCP it
// costs more than any gap; yet what nobody asked for is the likelier to be missing the wider it is.
func limitsOf(l Link, d *Device) limits {
	const (
		thinking  = 3 * time.Millisecond
		widest    = 60 // registers
		widestBit = 500
	)
	char := time.Second * 10 / 9600 // of a serial server, which does not tell
	digits := time.Duration(1)
	switch {
	case l.TCP != nil:
		return limits{registers: d.MaxRead, registerGap: widest, bitGap: widestBit}
	case l.Serial != nil:
		char = l.Serial.char()
		if l.Serial.ASCII {
			digits = 2
		}
	}
	request := 13*digits*char + 2*silence(char) + thinking
	return limits{
		registers:   d.MaxRead,
		registerGap: min(int(request/(2*digits*char)), widest),
		bitGap:      min(8*int(request/(digits*char)), widestBit),
	}
}

// plan puts neighbouring points into one read, without splitting a point.
func plan(points []*Point, l limits) []span {
	sorted := slices.Clone(points)
	slices.SortStableFunc(sorted, func(a, b *Point) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Address, b.Address))
	})
	var spans []span
	for _, p := range sorted {
		most, gap := l.registers, l.registerGap
		if p.Table.bits() {
			most, gap = maxBits, l.bitGap
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

// halves splits a span that a device refuses, to find out which points it has. The
// address range that it refuses is never asked for as a whole again.
func (s *span) halves(l limits) []span {
	n := len(s.points) / 2
	return append(plan(s.points[:n], l), plan(s.points[n:], l)...)
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
