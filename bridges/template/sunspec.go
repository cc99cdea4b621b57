package template

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"fieldgate/bridges"
)

const (
	sunSpecKey  = "sunspec"
	sunSpecMark = "SunS" // stands before the first model
	// sunSpecCommon is the model that every SunSpec device has, and so tells no device from another.
	sunSpecCommon = 1
	// maxSunSpecWalk bounds what a scan reads of a device's models: those that templates name stand at the beginning.
	maxSunSpecWalk = 12
)

// sunSpecModels gives the models of a device that a scan found, without the common one; nil when it has no SunSpec map
// [SunSpec Device Information Model Specification 6].
func sunSpecModels(ctx context.Context, step bridges.ScanStep, deadline time.Time) []int {
	if step.Try == nil {
		return nil
	}
	late := func() bool { return ctx.Err() != nil || time.Now().After(deadline) }
	for _, base := range []int{40000, 50000, 0} {
		if late() {
			return nil
		}
		if text, _ := tryAt(step, base, `"type":"string","length":2`).AsText(); text != sunSpecMark {
			continue
		}
		var models []int
		for at := base + 2; len(models) < maxSunSpecWalk && at < 1<<16-2 && !late(); {
			head, isNumber := tryAt(step, at, `"type":"uint32"`).Uint64() // identifier and length
			id, length := int(head>>16), int(head&0xFFFF)
			if !isNumber || id == 0 || id == 0xFFFF {
				break
			}
			if id != sunSpecCommon {
				models = append(models, id)
			}
			at += 2 + length
		}
		return models
	}
	return nil
}

// tryAt reads one point among the holding registers.
func tryAt(step bridges.ScanStep, address int, keys string) bridges.Value {
	point := json.RawMessage(fmt.Sprintf(`{"id":"x","address":"0x%X",%s}`, address, keys))
	if values := step.Try(nil, []json.RawMessage{point}); len(values) == 1 {
		return values[0]
	}
	return bridges.Value{}
}

// isMapped tells whether the template is for one of the models.
func (t *Template) isMapped(models []int) bool {
	return len(models) > 0 && slices.ContainsFunc(t.Points, func(p Point) bool {
		var s struct{ Models []int }
		return p[sunSpecKey] != nil && json.Unmarshal(p[sunSpecKey], &s) == nil &&
			slices.ContainsFunc(s.Models, func(m int) bool { return m != sunSpecCommon && slices.Contains(models, m) })
	})
}
