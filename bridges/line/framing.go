package line

import (
	"strconv"
	"strings"
	"time"

	"fieldgate/bridges"
)

// Framing says where a frame begins and ends: at a delimiter, between marks, by its
// length, by a length field, or at a pause.
type Framing struct {
	Delimiter   Bytes         `json:"delimiter"`
	Delimiters  []Bytes       `json:"delimiters"` // in place of Delimiter: any of them ends a line
	Start       Bytes         `json:"start"`      // STX; also the sync bytes before a length
	End         Bytes         `json:"end"`        // ETX
	Escape      Bytes         `json:"escape"`     // one byte, between Start and End: the next one is no mark
	After       int           `json:"after"`      // bytes behind End, for a checksum
	Length      int           `json:"length"`     // bytes of the whole frame
	LengthField *LengthField  `json:"length_field"`
	IdleGap     time.Duration `json:"idle_gap"`
	MaxLength   int           `json:"max_length"` // bytes, delimiter and marks not counted

	fresh time.Duration // pause after which bytes begin a new line
}

// LengthField is a number in the frame that tells its length.
type LengthField struct {
	Offset int    `json:"offset"` // of its first byte in the frame
	Size   int    `json:"size"`   // 1, 2 or 4 bytes
	Order  string `json:"order"`  // big, little
	Add    int    `json:"add"`    // what to add to it for the length of the whole frame
}

// SetDefaults fills in one byte.
func (l *LengthField) SetDefaults() { l.Size, l.Order = 1, "big" }

// Limits of the framing.
const (
	maxLineLength = 64 << 10
	maxFrame      = 1024 // of binary frames: each may have to be looked for again from every byte
	maxMark       = 16
	defaultLength = 4096
	minGap        = 2 * time.Millisecond
	maxGap        = 10 * time.Second
)

// isBinary tells whether blank frames count.
func (f *Framing) isBinary() bool { return f.Length > 0 || f.LengthField != nil }

// framer makes the framer; the settings have been checked.
func (f *Framing) framer(c *Checksum) Framer {
	checked := c.Type != "" && c.Type != "none"
	switch {
	case f.IdleGap > 0:
		return &gapFramer{most: f.MaxLength, exact: f.Length}
	case f.Length > 0:
		return &sizedFramer{start: []byte(f.Start), length: f.Length, most: f.MaxLength, checked: checked}
	case f.LengthField != nil:
		return &sizedFramer{start: []byte(f.Start), field: *f.LengthField, most: f.MaxLength, checked: checked}
	case f.End != "":
		m := &markFramer{start: []byte(f.Start), end: []byte(f.End), escape: -1, after: f.After, most: f.MaxLength}
		if f.Escape != "" {
			m.escape = int(f.Escape[0])
		}
		return m
	}
	var delimiters []string
	for _, d := range f.Delimiters {
		delimiters = append(delimiters, string(d))
	}
	return NewLineFramer(f.MaxLength, delimiters...)
}

// words names the framing for a person who looks for a mistake.
func (f *Framing) words() string {
	switch {
	case f.IdleGap > 0:
		return "framing.idle_gap " + f.IdleGap.String()
	case f.Length > 0:
		return "framing.length " + strconv.Itoa(f.Length)
	case f.LengthField != nil:
		return "framing.length_field"
	case f.End != "":
		return "framing.start " + Visible([]byte(f.Start), maxMark) + " and framing.end " + Visible([]byte(f.End), maxMark)
	}
	var list []string
	for _, d := range f.Delimiters {
		list = append(list, Visible([]byte(d), maxMark))
	}
	return "framing.delimiter " + strings.Join(list, " or ")
}

func (f *Framing) check(faults *bridges.Faults, c *Checksum) {
	const at = "/framing"
	sized := f.Length != 0 || f.LengthField != nil
	f.checkForm(faults, at)
	limit := maxLineLength
	if sized {
		limit = maxFrame
	}
	if f.MaxLength == 0 {
		f.MaxLength = min(limit, defaultLength)
	}
	bridges.CheckRange(faults, at+"/max_length", f.MaxLength, 1, limit)
	switch {
	case f.End != "":
		f.checkMarks(faults, at)
	case sized:
		f.checkSize(faults, at, c)
	case f.IdleGap == 0:
		f.checkDelimiters(faults, at)
	}
	checkLength(faults, at+"/start", string(f.Start), 0, maxMark)
	checkLength(faults, at+"/end", string(f.End), 0, maxMark)
	if f.IdleGap != 0 && (f.IdleGap < minGap || f.IdleGap > maxGap) {
		faults.Add(at+"/idle_gap", bridges.OutOfRange, `must be "2ms" to "10s"`)
	}
}

// checkForm sees to it that one form is chosen, and only its own keys are there.
func (f *Framing) checkForm(faults *bridges.Faults, at string) {
	wrong := func(field, words string) { faults.Add(at+field, bridges.Invalid, "%s", words) }
	delimited := f.Delimiter != "" || len(f.Delimiters) > 0
	sized := f.Length != 0 || f.LengthField != nil
	switch {
	case f.Delimiter != "" && len(f.Delimiters) > 0:
		wrong("/delimiters", "must be left out beside delimiter, or list all of them")
	case delimited && (f.End != "" || sized || f.IdleGap != 0):
		wrong("/delimiter", "must be left out when start and end, a length or idle_gap tell where a frame ends")
	case f.End != "" && (sized || f.IdleGap != 0):
		wrong("/end", "must be left out when a length or idle_gap tells where a frame ends")
	case f.Length != 0 && f.LengthField != nil:
		wrong("/length", "must be left out beside length_field")
	case f.IdleGap != 0 && f.LengthField != nil:
		wrong("/idle_gap", "must be left out beside length_field")
	case f.IdleGap != 0 && f.Start != "":
		wrong("/start", "must be left out beside idle_gap; devices[].parse.begins says how a frame begins")
	case f.Start != "" && f.End == "" && !sized:
		wrong("/start", "needs end, length or length_field beside it")
	}
	if f.End == "" && (f.Escape != "" || f.After != 0) {
		field := map[bool]string{true: "/escape", false: "/after"}[f.Escape != ""]
		wrong(field, "has a meaning only between start and end")
	}
}

func (f *Framing) checkDelimiters(faults *bridges.Faults, at string) {
	if f.Delimiter != "" && len(f.Delimiters) == 0 {
		checkLength(faults, at+"/delimiter", string(f.Delimiter), 1, maxMark)
		f.Delimiters = []Bytes{f.Delimiter}
		return
	}
	if len(f.Delimiters) > maxMark {
		faults.Add(at+"/delimiters", bridges.OutOfRange, "must be at most %d", maxMark)
	}
	for i, d := range f.Delimiters {
		below := at + "/delimiters/" + strconv.Itoa(i)
		checkLength(faults, below, string(d), 1, maxMark)
		for j, other := range f.Delimiters {
			if i != j && d != "" && other != "" && strings.Contains(string(d), string(other)) {
				faults.Add(below, bridges.Invalid, "is never seen: %s in it ends the line before", Visible([]byte(other), maxMark))
			}
		}
	}
	if len(f.Delimiters) == 0 {
		f.Delimiters = []Bytes{"\r\n"}
	}
}

func (f *Framing) checkMarks(faults *bridges.Faults, at string) {
	if f.Start == "" {
		faults.Add(at+"/start", bridges.Required, `is needed beside end, such as "\x02"`)
	} else if strings.HasSuffix(string(f.Start), string(f.End)) || strings.HasSuffix(string(f.End), string(f.Start)) {
		faults.Add(at+"/end", bridges.Invalid, "must differ from start")
	}
	checkLength(faults, at+"/escape", string(f.Escape), 0, 1)
	bridges.CheckRange(faults, at+"/after", f.After, 0, maxMark)
}

func (f *Framing) checkSize(faults *bridges.Faults, at string, c *Checksum) {
	if f.LengthField == nil {
		bridges.CheckRange(faults, at+"/length", f.Length, 1, maxFrame)
		if f.IdleGap == 0 && f.Start == "" && (c.Type == "" || c.Type == "none") {
			faults.Add(at+"/length", bridges.Invalid, "needs start, idle_gap or a checksum, which tell where a frame begins")
		}
		if f.Length <= len(f.Start) {
			faults.Add(at+"/length", bridges.OutOfRange, "must be more than the bytes of start")
		}
		return
	}
	l := f.LengthField
	below := at + "/length_field"
	bridges.CheckRange(faults, below+"/offset", l.Offset, len(f.Start), maxFrame-4)
	if l.Size != 1 && l.Size != 2 && l.Size != 4 {
		faults.Add(below+"/size", bridges.OutOfRange, "must be 1, 2 or 4 bytes")
		l.Size = 1
	}
	faults.OneOf(below+"/order", l.Order, "big", "little")
	bridges.CheckRange(faults, below+"/add", l.Add, -maxFrame, maxFrame)
	if f.Start == "" && (c.Type == "" || c.Type == "none") {
		faults.Add(below, bridges.Invalid, "needs start or a checksum, which tell where a frame begins")
	}
}
