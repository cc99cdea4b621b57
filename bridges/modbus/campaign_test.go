package modbus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/broker/mqtt"
)

// kind is a kind of fault.
type kind struct {
	name  string
	spoil func(x *victim, answer []byte)
}

func kinds() []kind {
	var list []kind
	for _, f := range faults {
		if !strings.HasPrefix(f.name, "exception") {
			list = append(list, kind{f.name, func(x *victim, a []byte) { f.spoil(x.faulty, a) }})
		}
	}
	for _, code := range []byte{1, 2, 3, 4, 5, 6, 7, 8, 10, 11} {
		list = append(list, kind{name: fmt.Sprintf("exception %d", code), spoil: func(x *victim, a []byte) {
			x.faulty.send(frame(a[0], a[1]|0x80, code))
		}})
	}
	return append(list,
		kind{name: "exception, and then the answer", spoil: func(x *victim, a []byte) { x.faulty.send(frame(a[0], a[1]|0x80, 4), a) }},
		kind{name: "late exception", spoil: func(x *victim, a []byte) {
			x.faulty.delayed.Go(func() {
				x.faulty.pause(faultTimeout + 100*time.Millisecond)
				x.faulty.send(frame(a[0], a[1]|0x80, 2))
			})
		}},
		kind{name: "another master's talk", spoil: func(x *victim, a []byte) {
			x.faulty.send(frame(9, 3, 0, 0, 0, 1), frame(9, 3, 2, 0, 7), a)
		}},
		kind{name: "noise while idle", spoil: func(x *victim, a []byte) {
			x.faulty.send(a)
			x.faulty.delayed.Go(func() {
				x.faulty.pause(8 * time.Millisecond)
				x.faulty.send([]byte{a[0], a[1], 8, 0xFF})
			})
		}},
		kind{name: "two halves of two answers", spoil: func(x *victim, a []byte) { x.faulty.send(a[:7], a[5:]) }},
		kind{name: "all zero", spoil: func(x *victim, a []byte) { x.faulty.send(make([]byte, len(a))) }},
		kind{name: "300 bytes of garbage first", spoil: func(x *victim, a []byte) {
			x.faulty.send([]byte(strings.Repeat("\x01\x03\x08\xAA\x55\x00", 50)), a)
		}},
		kind{name: "unplugged", spoil: func(x *victim, a []byte) {
			x.line.unplug()
			x.faulty.delayed.Go(func() {
				x.faulty.pause(30 * time.Millisecond)
				_ = x.line.plug()
				x.disturbed()
			})
		}},
	)
}

// victim is a line with a bridge on it whose answers are spoiled, one after the other.
type victim struct {
	name   string
	line   *line
	faulty *faultyLine
	all    *campaign

	mu     sync.Mutex // protects what follows
	calm   int        // good values since the last fault is over
	kind   *kind      // that was injected and is not over, nil for none
	last   string     // what was injected last
	tag    uint64     // of the point that it hit
	latest map[uint64]uint64

	clock sync.Mutex // protects what follows
	hit   instant    // when the fault was injected
	quiet instant    // when the line was disturbed last, by the fault or by the machine
	slow  int        // times that the slave gave no answer in time since the fault, by itself
}

// instant is a time, and what the machine had kept from this process until then.
type instant struct {
	at     time.Time
	lost   time.Duration
	stalls int64 // times that were long enough to miss an answer
}

// injected begins a fault.
func (x *victim) injected() {
	x.clock.Lock()
	defer x.clock.Unlock()
	x.quiet = x.all.stolen.now()
	x.hit, x.slow = x.quiet, 0
}

// disturbed begins the time anew in which the point has to recover.
func (x *victim) disturbed() {
	x.clock.Lock()
	defer x.clock.Unlock()
	x.quiet = x.all.stolen.now()
}

// slowed notes that the slave did not answer in time without any fault of ours: the machine was too busy to be a slave.
func (x *victim) slowed() {
	x.clock.Lock()
	defer x.clock.Unlock()
	x.quiet = x.all.stolen.now()
	x.slow++
}

// recovered gives what passed since the last disturbance.
func (x *victim) recovered() recovery {
	x.clock.Lock()
	defer x.clock.Unlock()
	now := x.all.stolen.now()
	r := recovery{took: now.at.Sub(x.quiet.at), lost: now.lost - x.quiet.lost, missed: x.slow + int(now.stalls-x.hit.stalls)}
	if r.lost > faultTimeout { // in small pieces
		r.missed++
	}
	return r
}

// recovery is how a point came back.
type recovery struct {
	took time.Duration // from the last disturbance to the first good value
	lost time.Duration // of that, what the machine kept from this process
	// missed is how often since the fault an answer may have been missed for the machine's sake alone: the slave
	// was late by itself, or the bridge was held up.
	missed int
}

// theft measures what the machine keeps from this process: by how much a timer comes later than timers do.
type theft struct{ lost, stalls atomic.Int64 }

func (s *theft) now() instant {
	return instant{time.Now(), time.Duration(s.lost.Load()), s.stalls.Load()}
}

func (s *theft) watch(ctx context.Context) {
	const every, usual, stall = 2 * time.Millisecond, 2 * time.Millisecond, 20 * time.Millisecond
	for ctx.Err() == nil {
		begin := time.Now()
		<-time.After(every)
		if late := time.Since(begin) - every; late > usual {
			s.lost.Add(int64(late))
			if late > stall {
				s.stalls.Add(1)
			}
		}
	}
}

// campaign counts over all lines.
type campaign struct {
	kinds   []kind
	most    int
	victims []*victim
	stolen  theft

	mu       sync.Mutex // protects what follows
	injected int
	over     int
	wrong    []string
	recovery map[string][]recovery
	ended    chan struct{}
}

// next gives the next fault, nil when there were enough.
func (c *campaign) next() *kind {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.injected == c.most {
		return nil
	}
	c.injected++
	return &c.kinds[c.injected%len(c.kinds)]
}

func (c *campaign) recovered(k *kind, r recovery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recovery[k.name] = append(c.recovery[k.name], r)
	if c.over++; c.over == c.most {
		close(c.ended)
	}
}

func (c *campaign) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

const calmValues = 6 // between two faults of a line

// answer takes an answer of the slaves.
func (x *victim) answer(answer []byte) (taken bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.kind != nil || x.calm < calmValues || len(answer) != 13 {
		return false
	}
	k := x.all.next()
	if k == nil {
		return false
	}
	number := slices.Clone(answer)
	x.kind, x.calm, x.last = k, 0, k.name
	x.tag = uint64(number[3])<<16 | uint64(number[4])<<8 | uint64(number[5])
	x.injected()
	k.spoil(x, number)
	return true
}

// published looks at everything that the bridge says.
func (x *victim) published(m *mqtt.Message) {
	parts := strings.Split(m.Topic, "/")
	if len(parts) != 3 || !strings.HasPrefix(parts[2], "at-") {
		return
	}
	var unit, address int
	_, _ = fmt.Sscanf(parts[1], x.name+"-unit-%d", &unit)
	_, _ = fmt.Sscanf(parts[2], "at-%d", &address)
	var r struct {
		Value   json.Number
		Quality string
	}
	if err := json.Unmarshal(m.Payload, &r); err != nil {
		x.all.fail("%s: %s", m.Payload, err)
		return
	}
	if r.Quality != "good" {
		return
	}
	n, err := strconv.ParseUint(r.Value.String(), 10, 64)
	tag, sequence := n>>sequenceBits, n&(1<<sequenceBits-1)
	x.faulty.mu.Lock()
	late := x.faulty.spoiled[n]
	x.faulty.mu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	name := x.last
	if x.kind == nil {
		name += " (over)"
	}
	switch {
	case err != nil || tag != rulerTag(unit, address):
		x.all.fail("%s: %s has %s, the value of another point", name, m.Topic, r.Value)
	case late:
		x.all.fail("%s: %s has %s, a late value", name, m.Topic, r.Value)
	case sequence <= x.latest[tag]:
		x.all.fail("%s: %s has %s, an old value", name, m.Topic, r.Value)
	}
	x.latest[tag] = sequence
	x.calm++
	if x.kind != nil && tag == x.tag {
		x.all.recovered(x.kind, x.recovered())
		x.kind, x.calm = nil, 0
	}
}

const campaignInterval = 100 * time.Millisecond

// Faults, as many as MODBUS_FAULTS says (else some hundred), are injected between bridges and slaves of
// pymodbus. No wrong value is published, and after each one the point that it hit has a good value again.
func TestPymodbus_FaultsOnTheLine(t *testing.T) {
	most, lines := 240, 6
	if text := os.Getenv("MODBUS_FAULTS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		most, lines = n, 8
	}
	all := kinds()
	if only := os.Getenv("MODBUS_FAULT"); only != "" {
		all = slices.DeleteFunc(all, func(k kind) bool { return k.name != only })
	}
	c := &campaign{kinds: all, most: most, recovery: map[string][]recovery{}, ended: make(chan struct{})}
	dir := t.TempDir()
	var victims []*victim
	args := []string{"rtu", "115200"}
	for i := range lines {
		x := &victim{name: fmt.Sprintf("l%d", i), all: c, latest: map[uint64]uint64{}}
		x.line = newLine(t, filepath.Join(dir, x.name), 115200, 10)
		x.faulty = &faultyLine{ReadWriteCloser: x.line, spoiled: map[uint64]bool{}, heard: x.disturbed}
		x.line.onAnswer, x.line.patience = x.answer, faultTimeout+400*time.Millisecond
		x.line.slow, x.line.inTime = x.slowed, faultTimeout/2
		victims = append(victims, x)
		args = append(args, x.line.path)
	}
	c.victims = victims
	ctx, stop := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { c.stolen.watch(ctx) })
	t.Cleanup(func() { stop(); watch.Wait() })
	script(t, "ruler.py", args...)
	for _, x := range victims {
		x.line.run()
		bus := &bridgestest.Bus{OnPublish: func(_ context.Context, m *mqtt.Message) error { x.published(m); return nil }}
		startOn(t, bus, &port.Ports{TimedPTYs: true}, serial(x.line.link, fmt.Sprintf(`"timeout":"%v","devices":[%s]`, faultTimeout, x.devices())))
		t.Cleanup(x.faulty.delayed.Wait)
	}
	limit := time.NewTimer(time.Minute + time.Duration(most/lines)*5*time.Second)
	defer limit.Stop()
	select {
	case <-c.ended:
	case <-limit.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	late, unjudged := c.tell(t)
	require.Empty(t, c.wrong)
	require.Equal(t, most, c.over, "points that have good values again")
	for _, x := range victims {
		require.Zero(t, x.line.strange.Load(), "requests that nobody could answer")
	}
	if os.Getenv("MODBUS_FAULTS") != "" {
		require.Zero(t, late, "points that came back too late")
		require.LessOrEqual(t, unjudged, most/10, "points that nothing can be said of: the machine is too busy")
	}
}

func (x *victim) devices() string {
	var list []string
	for _, unit := range []int{1, 2} {
		list = append(list, fmt.Sprintf(`{"id":"%s-unit-%d","unit":%d,"interval":"%v","points":[
			{"id":"at-0","address":0,"type":"uint64"},{"id":"at-100","address":100,"type":"uint64"}]}`, x.name, unit, unit, campaignInterval))
	}
	return strings.Join(list, ",")
}

// tell writes down what was measured, and gives how many points came back later than they should, and of how many nothing can be said.
//
// What the machine kept from this process is taken off. When the slave did not answer in time by itself, which the line sees, that
// is one more fault, and the time begins anew; with two such misses, or long stalls of this process, the device may be a dead one to the bridge, which may
// take a twentieth of the bus, and there is nothing to judge. On a quiet machine none of this happens; the log tells.
func (c *campaign) tell(t *testing.T) (late, unjudged int) {
	const limit = campaignInterval + 500*time.Millisecond
	raw, missed, names := 0, 0, []string{}
	for name := range c.recovery {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		list := c.recovery[name]
		slices.SortFunc(list, func(a, b recovery) int { return int(a.took - b.took) })
		for _, r := range list {
			if r.took > limit {
				raw++
			}
			switch {
			case r.missed >= 2:
				unjudged++
			case r.took-r.lost > limit:
				late++
				t.Logf("%s: back after %v, of which the machine took %v; %d answers missed", name, r.took, r.lost, r.missed)
			}
			missed += r.missed
		}
		t.Logf("%-30s %5d times, good again after %4d ms (median), %4d ms (longest)", name, len(list), list[len(list)/2].took.Milliseconds(), list[len(list)-1].took.Milliseconds())
	}
	stalled := 0
	for _, x := range c.victims {
		stalled += int(x.line.stalled.Load())
	}
	t.Logf("the machine: %v kept from this process; answers missed for its sake %d times while a point was to come back, %d points not judged for it; %d answers came after everything and were dropped",
		time.Duration(c.stolen.lost.Load()).Round(time.Millisecond), missed, unjudged, stalled)
	t.Logf("%d faults of %d kinds injected, %d over, %d wrong values, %d back after more than an interval + 0.5 s, %d of them without the machine to blame",
		c.injected, len(c.kinds), c.over, len(c.wrong), raw, late)
	return late, unjudged
}
