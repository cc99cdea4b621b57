package bridges

import (
	"math"
	"time"
)

// PublishRule says which readings of a point are worth a message, for embedding
// into the settings of a point of any kind. The zero value lets all pass. What is held
// back is still kept for the page and the REST interface, with its own time.
type PublishRule struct {
	// Deadband is the least change of a number, in the point's unit, against what was published last; 0 for none.
	Deadband float64 `json:"deadband"`
	// OnChange holds back values that equal what was published last. Deadband and Heartbeat imply it.
	OnChange bool `json:"on_change"`
	// Heartbeat is how long nothing may be published: the first reading after that passes, changed or not; 0 for ever.
	Heartbeat time.Duration `json:"heartbeat"`
	// Publish is false for a point that is only for the page and the REST interface; nil is true.
	Publish *bool `json:"publish"`
}

const maxHeartbeat = 7 * 24 * time.Hour

// Check adds what is wrong with the rule of the point at the JSON pointer.
func (p PublishRule) Check(f *Faults, at string) {
	if p.Deadband < 0 || math.IsInf(p.Deadband, 0) {
		f.Add(at+"/deadband", OutOfRange, "must be 0 or above")
	}
	if p.Heartbeat < 0 || p.Heartbeat > maxHeartbeat {
		f.Add(at+"/heartbeat", OutOfRange, `must be "0s" to "168h"`)
	}
}

// Worth gives the rule for a Point, nil when it lets all readings pass.
func (p PublishRule) Worth() *PublishRule {
	if !p.active() && !p.silent() {
		return nil
	}
	return &p
}

// Silent tells whether no reading of the point is published.
func (p *Point) Silent() bool { return p.Publish != nil && p.Publish.silent() }

func (p PublishRule) silent() bool { return p.Publish != nil && !*p.Publish }

func (p PublishRule) active() bool { return p.OnChange || p.Deadband > 0 || p.Heartbeat > 0 }

// Gate applies a PublishRule to the readings of one point, one after the other.
// Its zero value has published nothing. One goroutine at a time may use it. The
// supervisor has one for each point that Kind.Devices lists; a kind needs none of its own.
type Gate struct {
	value   Value
	quality Quality // empty before the first
	err     string
	at      time.Time
}

// Pass tells whether the reading is to be published, and remembers it when so. The
// first one, and one whose quality or error is another, always pass.
func (g *Gate) Pass(p PublishRule, r Reading) bool {
	if p.silent() {
		return false
	}
	if !p.active() {
		return true
	}
	if !g.news(p, r) {
		return false
	}
	*g = Gate{value: r.Value, quality: r.Quality, err: r.Error, at: r.Time}
	return true
}

// Reset forgets what was published, so that the next reading passes.
func (g *Gate) Reset() { *g = Gate{} }

// ruled is a PublishRule that holds something back, and what it needs to know for that. A nil one lets all pass.
type ruled struct {
	rule PublishRule
	gate Gate
}

func newRuled(p *PublishRule) *ruled {
	if p == nil {
		return nil
	}
	return &ruled{rule: *p}
}

func (r *ruled) pass(in Reading) bool { return r == nil || r.gate.Pass(r.rule, in) }

func (r *ruled) silent() bool { return r != nil && r.rule.silent() }

func (r *ruled) reset() {
	if r != nil {
		r.gate.Reset()
	}
}

func (g *Gate) news(p PublishRule, r Reading) bool {
	if g.quality != r.Quality || g.err != r.Error {
		return true
	}
	if silence := r.Time.Sub(g.at); p.Heartbeat > 0 && (silence >= p.Heartbeat || silence < 0) {
		return true
	}
	if p.Deadband > 0 && g.value.isNumber() && r.Value.isNumber() {
		was, _ := g.value.Number()
		is, _ := r.Value.Number()
		const noise = 1e-9 // 0.3 - 0.2 is a change of 0.1
		return math.Abs(is-was) >= p.Deadband*(1-noise)
	}
	return !g.value.Equal(r.Value)
}

func (v Value) isNumber() bool { return v.IsInt() || v.isFloat() }
