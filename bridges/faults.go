package bridges

import "fieldgate/internal/fault"

// Faults collects what is wrong with settings; kinds import no other package for it.
type Faults = fault.List

// The codes that kinds give to faults of their settings and of their far side.
const (
	Invalid     = fault.Invalid
	Required    = fault.Required
	OutOfRange  = fault.OutOfRange
	Conflict    = fault.Conflict
	Unreachable = fault.Unreachable
)

// Unreachablef is the error of a Tester whose far side gives no answer, in words that say what to do.
func Unreachablef(format string, args ...any) error { return fault.New(Unreachable, format, args...) }
