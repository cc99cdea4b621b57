package sim

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

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
