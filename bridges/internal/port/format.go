package port

import (
	"fmt"

	"go.bug.st/serial"
)

// Limits of the bit rate, in bits per second.
const (
	MinBaud = 300
	MaxBaud = 4_000_000
)

// Format is how a character looks on the wire. Its zero value is no format.
type Format struct {
	DataBits int  // 7 or 8
	Parity   byte // 'N', 'E' or 'O'
	StopBits int  // 1 or 2
}

// ParseFormat reads a format such as 8N1, 7E1 or 8E2.
func ParseFormat(text string) (Format, error) {
	if len(text) == 3 {
		f := Format{DataBits: int(text[0] - '0'), Parity: text[1], StopBits: int(text[2] - '0')}
		if f.valid() {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("must be data bits (7, 8), parity (N, E, O) and stop bits (1, 2), such as 8N1 or 8E1")
}

func (f Format) valid() bool {
	return (f.DataBits == 7 || f.DataBits == 8) && (f.Parity == 'N' || f.Parity == 'E' || f.Parity == 'O') && (f.StopBits == 1 || f.StopBits == 2)
}

// String writes what ParseFormat reads.
func (f Format) String() string { return fmt.Sprintf("%d%c%d", f.DataBits, f.Parity, f.StopBits) }

// CharBits is the number of bits of one character on the wire: start, data, parity and stop bits.
func (f Format) CharBits() int {
	bits := 1 + f.DataBits + f.StopBits
	if f.Parity != 'N' {
		bits++
	}
	return bits
}

func (f Format) mode(baud int) *serial.Mode {
	m := &serial.Mode{BaudRate: baud, DataBits: f.DataBits}
	switch f.Parity {
	case 'E':
		m.Parity = serial.EvenParity
	case 'O':
		m.Parity = serial.OddParity
	}
	if f.StopBits == 2 {
		m.StopBits = serial.TwoStopBits
	}
	return m
}
