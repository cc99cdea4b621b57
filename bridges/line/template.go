package line

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fieldgate/bridges"
)

// template is a request or command with places: {address}, {checksum}, {value},
// {value:.1f}. {{ and }} stand for braces.
type template []part

type part struct {
	text   string // when name is empty
	name   string // address, checksum, value
	format string // of the value: ".1f"
}

var errBraces = errors.New("has a { without }; known are {address}, {value}, {value:.1f}, {checksum}, and {{ for a brace")

func parseTemplate(text string) (template, error) {
	var t template
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c {
			plain.WriteByte(c)
			i++
			continue
		}
		if c != '{' {
			plain.WriteByte(c)
			continue
		}
		inner, _, closed := strings.Cut(text[i+1:], "}")
		if !closed {
			return nil, errBraces
		}
		p, err := parsePlace(inner)
		if err != nil {
			return nil, err
		}
		t = append(t, part{text: plain.String()}, p)
		plain.Reset()
		i += len(inner) + 1
	}
	return append(t, part{text: plain.String()}), nil
}

func parsePlace(inner string) (part, error) {
	name, format, _ := strings.Cut(inner, ":")
	switch {
	case name == "value" && validFormat(format):
		return part{name: name, format: format}, nil
	case name == "value":
		return part{}, fmt.Errorf("has the format {value:%s}, which is unknown; such are {value:.1f}, {value:05d}, {value:04X}, {value:s}", format)
	case (name == "address" || name == "checksum") && format == "":
		return part{name: name}, nil
	}
	return part{}, fmt.Errorf("has {%s}, which is unknown; known are {address}, {value}, {value:.1f}, {checksum}, and {{ for a brace", Visible([]byte(inner), 40))
}

func validFormat(format string) bool {
	ok, err := regexp.MatchString(`^([-+0]{0,2}[0-9]{0,2}(\.[0-9])?[fdXxs])?$`, format)
	return ok && err == nil
}

func (t template) has(name string) bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.name == name })
}

// expand fills the places in. The checksum is that of what stands before it, from head bytes on.
func (t template) expand(address string, v bridges.Value, c *Checksum, head int) ([]byte, error) {
	var out []byte
	for _, p := range t {
		switch p.name {
		case "":
			out = append(out, p.text...)
		case "address":
			out = append(out, address...)
		case "checksum":
			out = c.appendTo(out, head)
		case "value":
			text, err := formatValue(v, p.format)
			if err != nil {
				return nil, err
			}
			out = append(out, text...)
		}
	}
	return out, nil
}

func formatValue(v bridges.Value, format string) (string, error) {
	if format == "" {
		return v.String(), nil
	}
	n, isNumber := v.Number()
	switch verb := format[len(format)-1]; {
	case verb == 's':
		return fmt.Sprintf("%"+format, v.String()), nil
	case !isNumber:
		return "", errors.New("must be a number")
	case verb == 'f':
		return fmt.Sprintf("%"+format, n), nil
	}
	if i, whole := v.Int64(); whole { // with all its digits
		return fmt.Sprintf("%"+format, i), nil
	}
	i, err := strconv.ParseInt(strconv.FormatFloat(n, 'f', -1, 64), 10, 64)
	if err != nil {
		return "", errors.New("must be a whole number")
	}
	return fmt.Sprintf("%"+format, i), nil
}
