package bridges

import "fieldgate/internal/fault"

// The codes that kinds give to faults of their settings and of their far side; kinds import fault
// through this package only.
const (
	Invalid     = fault.Invalid
	Required    = fault.Required
	NotFound    = fault.NotFound
	OutOfRange  = fault.OutOfRange
	Unreachable = fault.Unreachable
)

// Code is what a program may branch on, in faults and in the results of commands.
type Code = fault.Code

// Fault is the error of a Tester in words that say what to do.
func Fault(code fault.Code, format string, args ...any) error {
	return fault.New(code, format, args...)
}
