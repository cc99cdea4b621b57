package modbus

import (
	"fmt"
	"slices"
	"time"

	"fieldgate/bridges"
)

// deviceRun is what happens with one device while the bridge runs. Only the
// run's goroutine touches it, but for what Device holds, which never changes.
type deviceRun struct {
	*Device
	limits      limits
	blocks      []*block
	failing     string    // why all its points are bad, empty while it answers
	failedAt    time.Time // since when it is failing
	fails       int       // polls in a row without an answer
	holdOff     time.Time // nothing is asked before
	restUntil   time.Time // its pause lasts until then
	flying      int       // polls that are under way
	state       bridges.State
	reason      string
	noMaskWrite bool           // the device does not know function code 22
	wrote       map[*Point]int // writes that are read back
	told        counts         // as they were given to the host
}

// block is one read that is made again and again.
type block struct {
	span
	device *deviceRun
	pace
	due       time.Time
	phase     time.Duration // by which the next interval is shorter (longer when below 0), so that blocks don't come in bursts
	cost      time.Duration // bus time of a poll, 0 before the first
	ahead     bool          // others need its values: it goes before all that is due
	flying    bool          // a poll is under way
	discovery bool          // the addresses of its points are still to be found
	tries     int
	known     bool     // it was read once
	doubted   bool     // it was read once, and refused the last time
	refusals  int      // in a row
	refused   *failure // the exception that stands, nil when it was read
	bad       string   // what its points were reported as, empty for good
}

func newDeviceRun(d *Device, l Link) *deviceRun {
	run := &deviceRun{Device: d, limits: limitsOf(l, d), wrote: map[*Point]int{}}
	if !d.enabled() || d.Unit == broadcast && l.TCP == nil { // nobody answers a broadcast
		return run
	}
	classes := map[pace][]*Point{}
	order := []pace{}
	for i := range d.Points {
		p := &d.Points[i]
		if !p.enabled() || p.SunSpec != nil {
			continue
		}
		at := run.paceOf(p)
		if classes[at] == nil {
			order = append(order, at)
		}
		classes[at] = append(classes[at], p)
	}
	for _, at := range order {
		for _, s := range plan(classes[at], run.limits) {
			run.blocks = append(run.blocks, run.newBlock(s, at))
		}
	}
	if b := run.sunSpecBlock(); b != nil {
		run.blocks = append(run.blocks, b)
	}
	return run
}

// first tells whether others need its values: it holds a power of ten.
func (b *block) first() bool {
	return slices.ContainsFunc(b.points, func(p *Point) bool { return p.scales })
}

func (d *deviceRun) newBlock(s span, at pace) *block {
	return &block{span: s, device: d, pace: at}
}

// point finds a point by its id, nil when there is none.
func (d *deviceRun) point(id string) *Point {
	for i := range d.Points {
		if d.Points[i].ID == id {
			return &d.Points[i]
		}
	}
	return nil
}

// shortest is the shortest interval of its blocks.
func (d *deviceRun) shortest() time.Duration {
	shortest := d.Interval
	for _, b := range d.blocks {
		shortest = min(shortest, b.interval)
	}
	return shortest
}

// split replaces a block that the device refuses by its halves.
func (d *deviceRun) split(b *block) {
	var blocks []*block
	for _, old := range d.blocks {
		if old != b {
			blocks = append(blocks, old)
			continue
		}
		for _, s := range b.halves(d.limits) {
			half := d.newBlock(s, b.pace)
			half.due, half.bad, half.cost = b.due, b.bad, b.cost
			blocks = append(blocks, half)
		}
	}
	d.blocks = blocks
}

// health is the device's state while it answers.
func (d *deviceRun) health() (bridges.State, string) {
	points, example := 0, (*block)(nil)
	for _, b := range d.blocks {
		if b.refused != nil {
			points += len(b.points)
			if example == nil {
				example = b
			}
		}
	}
	if example == nil {
		return bridges.Online, ""
	}
	return bridges.Degraded, fmt.Sprintf("%d of its points can't be read: %s at %s",
		points, example.refused.words, &example.span)
}

// silence says why a device gives no values, and what to do. The words stay the same while it lasts.
func (d *deviceRun) silence(f *failure, link Link) string {
	switch {
	case f.exception != 0:
		return f.words
	case f.code != bridges.ErrTimeout:
		return f.words + "; " + link.advice()
	}
	return fmt.Sprintf("unit %d gives no answer; check that it is on, its unit identifier, %s", d.Unit, link.advice())
}

// advice names what to look at when nothing, or nothing right, is heard.
func (l Link) advice() string {
	switch {
	case l.Serial != nil:
		return fmt.Sprintf("the wiring (A and B), and that it speaks %d %s", l.Serial.Baud, l.Serial.Format)
	case l.RTUOverTCP != nil:
		return "the wiring (A and B), and the baud rate and format of the serial server"
	}
	return "and that the device speaks Modbus/TCP"
}
