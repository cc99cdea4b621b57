package modbus

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"fieldgate/bridges"
)

// SunSpec says where a point lies in a device that tells its own map: in the first of
// these models that the device has [SunSpec Device Information Model Specification 6].
type SunSpec struct {
	Models []int `json:"models"`
	Offset int   `json:"offset"` // of the register in the model; the model's identifier is at 0, its length at 1
	// Of takes the last of Models that stands before the first of these: a unit that has an
	// inverter and meters tells each in a common block (1) of its own before its models.
	Of  []int `json:"of"`
	Nth int   `json:"nth"` // of several such models, or of Of where it is given; 0 and 1 are the first
}

const (
	codeNoModel      = "no_model" // the device has none of the models
	maxSunSpecModels = 16
	maxSunSpecChain  = 100    // models of one device
	maxSunSpecNth    = 50     // no chain holds more with their common blocks
	sunSpecEnd       = 0xFFFF // identifier after the last model
	sunSpecNone      = 0      // no identifier: a map that was not ended
	sunSpecMark      = "SunS" // stands before the first model
	// newMapAfter is how long a device must have been silent for its map to be looked for again: it may be another one now.
	newMapAfter = 10 * time.Second
	// lookAgain is how often models are looked for that a device did not have: some build their map while they start.
	lookAgain = 10 * time.Minute
)

// check refuses what does not go with an address that the device tells.
func (s *SunSpec) check(f *bridges.Faults, at string, p *Point) {
	switch n := len(s.Models); {
	case n == 0:
		f.Add(at+"/models", bridges.Required, "is needed: identifiers of models, such as [101, 102, 103]")
	case n > maxSunSpecModels:
		f.Add(at+"/models", bridges.OutOfRange, "must have at most %d models", maxSunSpecModels)
	}
	if len(s.Of) > maxSunSpecModels {
		f.Add(at+"/of", bridges.OutOfRange, "must have at most %d models", maxSunSpecModels)
	}
	for i, m := range s.Models {
		bridges.CheckRange(f, fmt.Sprintf("%s/models/%d", at, i), m, 1, sunSpecEnd-1)
	}
	for i, m := range s.Of {
		bridges.CheckRange(f, fmt.Sprintf("%s/of/%d", at, i), m, 1, sunSpecEnd-1)
	}
	bridges.CheckRange(f, at+"/nth", s.Nth, 0, maxSunSpecNth)
	bridges.CheckRange(f, at+"/offset", s.Offset, 0, 1<<16-1)
	if p.Location.set || p.Table != 0 && p.Table != Holding {
		f.Add(at, bridges.Invalid, "takes the place of table and address; leave them out")
	}
}

// model is one model of a device's chain.
type model struct{ id, address, length int }

// walk finds the chain of models. ask reads holding registers. No chain is a failure with the exception code 2.
func walk(ask func(address, quantity int) ([]byte, *failure)) ([]model, *failure) {
	for _, base := range []int{40000, 50000, 0} {
		mark, f := ask(base, 2)
		switch {
		case f != nil && !f.answered():
			return nil, f
		case f != nil || string(mark) != sunSpecMark:
			continue
		}
		return walkFrom(base+2, ask)
	}
	none := newFailure(codeNoModel, "no SunSpec map is found at 40000, 50000 and 0")
	none.exception = 2
	return nil, none
}

func walkFrom(address int, ask func(address, quantity int) ([]byte, *failure)) ([]model, *failure) {
	var chain []model
	for address+2 <= 1<<16 && len(chain) < maxSunSpecChain {
		head, f := ask(address, 2)
		if f != nil && f.answered() && len(chain) > 0 {
			break // some devices leave the end mark out
		}
		if f != nil {
			return nil, f
		}
		m := model{id: int(binary.BigEndian.Uint16(head)), address: address, length: int(binary.BigEndian.Uint16(head[2:]))}
		if m.id == sunSpecEnd || m.id == sunSpecNone {
			break
		}
		chain = append(chain, m)
		address += 2 + m.length
	}
	return chain, nil
}

// locate gives the point its address; false when the device has none of its models, or a shorter one.
func (p *Point) locate(chain []model) bool {
	p.located = false
	if m, found := p.SunSpec.in(chain, p.SunSpec.Offset+p.size()); found {
		p.Address, p.located = m.address+p.SunSpec.Offset, m.address+2+m.length <= 1<<16
	}
	return p.located
}

// in finds the model; one with fewer registers than needed is not the one.
func (s *SunSpec) in(chain []model, needed int) (model, bool) {
	n, ofOther := max(s.Nth, 1), len(s.Of) > 0
	var last model // of Models, so far
	for _, m := range chain {
		isOne := slices.Contains(s.Models, m.id)
		switch {
		case !ofOther && isOne && needed <= 2+m.length:
			if n--; n == 0 {
				return m, true
			}
		case ofOther && slices.Contains(s.Of, m.id):
			if n--; n == 0 {
				return last, last.id != 0 && needed <= 2+last.length
			}
		case ofOther && isOne:
			last = m
		}
	}
	return model{}, false
}

// sunSpecBlock stands for the points of a device whose addresses are not known yet.
func (d *deviceRun) sunSpecBlock() *block {
	var points []*Point
	for i := range d.Points {
		if p := &d.Points[i]; p.SunSpec != nil && p.enabled() {
			points = append(points, p)
		}
	}
	if points == nil {
		return nil
	}
	return d.searchFor(points, d.Interval)
}

func (d *deviceRun) searchFor(points []*Point, interval time.Duration) *block {
	b := d.newBlock(span{table: Holding, address: 40000, quantity: 2, points: points}, pace{interval: interval})
	b.discovery = true
	return b
}

func (b *block) isMapped() bool { return b.points[0].SunSpec != nil }

// lostMap tells whether the device was away for so long that its map may be another one.
func (d *deviceRun) lostMap(now time.Time) bool {
	return d.failing != "" && now.Sub(d.failedAt) >= newMapAfter && slices.ContainsFunc(d.blocks, func(b *block) bool { return b.isMapped() && !b.discovery })
}

// forgetMap puts the search for the map in the place of the reads that were made by it.
func (d *deviceRun) forgetMap(now time.Time) *block {
	b := d.sunSpecBlock()
	b.due, b.bad = now, d.failing
	for _, p := range b.points {
		p.located = false
	}
	d.blocks = append(slices.DeleteFunc(d.blocks, (*block).isMapped), b)
	return b
}

// discover walks the device's chain, and puts reads of what was found in the place of
// the block. missing are the points that the device does not have.
func (d *deviceRun) discover(b *bus, x *block) (missing []*Point, f *failure) {
	chain, f := walk(func(address, quantity int) ([]byte, *failure) {
		data, _, f := b.read(d.Unit, &span{table: Holding, address: address, quantity: quantity})
		return data, f
	})
	if f != nil {
		return nil, f
	}
	d.blocks = slices.DeleteFunc(d.blocks, func(y *block) bool { return y == x })
	classes := map[pace][]*Point{}
	for _, p := range x.points {
		if p.locate(chain) {
			classes[d.paceOf(p)] = append(classes[d.paceOf(p)], p)
		} else {
			missing = append(missing, p)
		}
	}
	for at, points := range classes {
		for _, s := range plan(points, d.limits) {
			found := d.newBlock(s, at)
			found.due, found.bad, found.ahead = x.due, x.bad, found.first()
			d.blocks = append(d.blocks, found)
		}
	}
	return missing, nil
}

// missing tells of points that the device does not have, unless that was told, and has them looked for again.
func (r *run) missing(ctx context.Context, d *deviceRun, points []*Point, told bool, now time.Time) {
	if len(points) == 0 {
		return
	}
	again := d.searchFor(points, lookAgain)
	again.due, again.bad = now.Add(lookAgain), codeNoModel
	d.blocks = append(d.blocks, again)
	if told {
		return
	}
	readings := make([]bridges.Reading, 0, len(points))
	for _, p := range points {
		readings = append(readings, r.badReading(d, p, codeNoModel, now))
	}
	r.report(ctx, readings...)
}

// find is the poll of a block whose addresses are not known. The error is that of a lost link.
func (r *run) find(ctx context.Context, b *bus, x *block, start time.Time) error {
	d := x.device
	missing, f := d.discover(b, x)
	now := time.Now()
	switch {
	case f == nil:
		r.alive(d)
		r.missing(ctx, d, missing, x.bad == codeNoModel, now)
	case f.code == bridges.ErrLink:
		return f
	case f.answered():
		r.alive(d)
		x.refused = f
		x.refusals++
		r.bad(ctx, x, f.code, now)
		r.schedule.done(x, now)
		r.tell(d)
	default:
		r.polled(ctx, b, x, nil, now, f, now.Sub(start))
	}
	return nil
}
