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

// ValueSets keeps sets of values, those of plain numbers, bits and texts once, for there may be thousands of points. Its
// zero value is ready; one goroutine uses it.
type ValueSets struct{ plain map[plainSet]*ValueSet }

// plainSet is all that a set says that has neither labels nor limits.
type plainSet struct {
	form  Form
	whole bool
}

// Keep gives the set for a Point.
func (s *ValueSets) Keep(v ValueSet) *ValueSet {
	if v.Labels != nil || v.Min != nil || v.Max != nil || v.Step != 0 {
		return &v
	}
	key := plainSet{v.Form, v.Whole}
	if s.plain[key] == nil {
		if s.plain == nil {
			s.plain = map[plainSet]*ValueSet{}
		}
		s.plain[key] = &v
	}
	return s.plain[key]
}
