package line

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"fieldgate/bridges"
)

// What is shown of a link to whoever looks: requests, frames, what was made of them or why nothing. Nothing is made of
// a frame while nobody looks.

// SetTap shows what goes over the link to t.
func (b *bridge) SetTap(t *bridges.Tap) { b.tap = t }

var _ bridges.Tapped = (*bridge)(nil)

const shownText = 400 // bytes of a frame

// shown is a frame and what is to be said of it.
type shown struct {
	direction string
	data, end []byte
	at        time.Time
	took      time.Duration // since the request, of an answer
	problem   string
	words     string
}

func (b *bridge) show(s shown) {
	if !b.tap.Open() {
		return
	}
	whole := append(s.data[:len(s.data):len(s.data)], s.end...)
	b.tap.Tell(bridges.Frame{
		Time: s.at.UTC(), Direction: s.direction, Hex: hex.EncodeToString(whole), Text: Visible(whole, shownText),
		MS: math.Round(float64(s.took)/1e3) / 1e3, Problem: s.problem, Words: s.words,
	})
}

// showFrame shows a frame that came.
func (r *run) showFrame(f Frame, at time.Time, direction, problem, words string) {
	r.bridge.show(shown{direction: direction, data: f.Bytes, end: f.Delimiter, at: at, problem: problem, words: words})
}

// showLost shows how an exchange ended that got no answer.
func (r *run) showLost(x *exchange, now time.Time) {
	r.bridge.show(shown{direction: bridges.FrameAnswer, at: now, problem: bridges.ErrTimeout, words: fmt.Sprintf("no answer within %v", x.wait)})
}

// showDropped shows that bytes came which are in no frame.
func (r *run) showDropped(overlong, garbage int64) {
	if !r.bridge.tap.Open() {
		return
	}
	s := shown{direction: bridges.FrameOther, at: time.Now(), problem: bridges.ProblemFrame}
	if overlong > 0 {
		s.words = fmt.Sprintf("more than framing.max_length %d bytes without an end", r.bridge.settings.Framing.MaxLength)
	} else {
		s.words = fmt.Sprintf("%d bytes that belong to no frame", garbage)
	}
	r.bridge.show(s)
}

// showLine shows a line that nobody waited for, and whose it is.
func (r *run) showLine(f Frame, at time.Time, v verdict, words string) {
	switch v {
	case own:
		r.showFrame(f, at, bridges.FrameAnswer, "", words)
	case unasked:
		r.showFrame(f, at, bridges.FrameOther, bridges.ProblemForeign, "nobody asked for it now")
	case foreign:
		r.showFrame(f, at, bridges.FrameOther, bridges.ProblemForeign, "of another address")
	default:
		r.showFrame(f, at, bridges.FrameOther, bridges.ProblemFrame, "it matches no device's parse")
	}
}

// valueWords tells readings: "scale: weight=12.34 kg, tare=parse".
func valueWords(readings []bridges.Reading) string {
	var b strings.Builder
	for i, r := range readings {
		switch {
		case i == 0:
			b.WriteString(r.Device + ": ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(r.Point + "=")
		if r.Quality == bridges.Bad {
			b.WriteString(r.Error)
			continue
		}
		b.WriteString(r.Value.String())
		if r.Unit != "" {
			b.WriteString(" " + r.Unit)
		}
	}
	return b.String()
}
