package bridges

// Form is what the values of a point are.
type Form string

// The forms. A point with labels has texts.
const (
	NumberForm Form = "number"
	BoolForm   Form = "bool"
	TextForm   Form = "text"
)

// ValueSet tells which values a point has and takes, as far as its settings do.
type ValueSet struct {
	Form   Form     // empty when it is not known
	Labels []string // the texts that a command may have, in their order; empty for any
	// Limits of a command, nil where there is none, and its step, 0 for any.
	Min, Max *float64
	Step     float64
	Whole    bool // only whole numbers
}
