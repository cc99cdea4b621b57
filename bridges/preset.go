package bridges

import "encoding/json"

// Preset is settings to begin with, for a far side that many have.
type Preset struct {
	ID       string          `json:"id"`
	Name     Names           `json:"name"`
	Advice   Names           `json:"advice"`   // what a person needs to have or to know
	Fill     []Fill          `json:"fill"`     // what the settings lack
	Settings json.RawMessage `json:"settings"` // an object without an id
}

// Fill is a member of a preset's settings that a person must give.
type Fill struct {
	Pointer string `json:"pointer"` // JSON pointer into the settings
	Example string `json:"example"`
}
