package fault

import (
	"slices"
	"sort"
	"sync"
	"time"
)

// Alarm is a fault that lasts and that a person should act on.
type Alarm struct {
	Part    string    `json:"part"` // "mqtt", "spool", "bridge/cabinet", "uplink/cloud"
	Code    Code      `json:"code"`
	Message string    `json:"message"` // what is wrong and what to do
	Since   time.Time `json:"since"`
}

// Alarms is the list of what is wrong now. Its zero value is ready; all methods
// may be called at the same time.
type Alarms struct {
	mu      sync.Mutex
	active  map[alarmKey]Alarm // by part and code
	version uint64
}

type alarmKey struct {
	part string
	code Code
}

// Raise adds the alarm, or changes the message of the one that stands; Since stays.
func (a *Alarms) Raise(part string, code Code, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := alarmKey{part, code}
	old, stands := a.active[k]
	if stands && old.Message == message {
		return
	}
	alarm := Alarm{Part: part, Code: code, Message: message, Since: time.Now()}
	if stands {
		alarm.Since = old.Since
	}
	if a.active == nil {
		a.active = map[alarmKey]Alarm{}
	}
	a.active[k] = alarm
	a.version++
}

// Clear removes the part's alarms: those with the given codes, or all when none is given.
func (a *Alarms) Clear(part string, codes ...Code) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range a.active {
		if k.part == part && (len(codes) == 0 || slices.Contains(codes, k.code)) {
			delete(a.active, k)
			a.version++
		}
	}
}

// List gives the standing alarms, oldest first, and a number that changes whenever the list does.
func (a *Alarms) List() ([]Alarm, uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Alarm, 0, len(a.active))
	for _, alarm := range a.active {
		list = append(list, alarm)
	}
	sort.Slice(list, func(i, j int) bool {
		if !list[i].Since.Equal(list[j].Since) {
			return list[i].Since.Before(list[j].Since)
		}
		return list[i].Part < list[j].Part
	})
	return list, a.version
}
