package bridges

import "time"

// Quality says how far a reading may be trusted.
type Quality string

// The three qualities.
const (
	Good  Quality = "good"
	Stale Quality = "stale"
	Bad   Quality = "bad"
)

// Reading is one point's value at one moment. When Quality is Bad, Value is
// none and Error is a code such as "timeout".
type Reading struct {
	Device  string
	Point   string
	Topic   string // of the point, without prefix left to add: "fieldgate/main-meter/power"
	Plain   bool   // the bare number as payload ("payload: value")
	Value   Value
	Unit    string
	Quality Quality
	Error   string
	Time    time.Time // when the last byte of the answer came
}
