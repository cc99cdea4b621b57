package modbus

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

// plant is a schedule and a bus whose polls cost as much as its devices say; it keeps its own time.
type plant struct {
	*schedule
	now   time.Time
	costs map[*deviceRun]time.Duration
	dead  map[*deviceRun]bool
	polls map[*block]int
	late  map[*block]time.Duration // the longest time between two polls
	seen  map[*block]time.Time
	spent map[*deviceRun]time.Duration
}

const plantTimeout = 500 * time.Millisecond

// newPlant has a device for each cost, with one block for each interval.
func newPlant(t *testing.T, intervals []time.Duration, costs ...time.Duration) *plant {
	t.Helper()
	p := &plant{
		now: time.Unix(1000, 0), costs: map[*deviceRun]time.Duration{}, dead: map[*deviceRun]bool{},
		polls: map[*block]int{}, late: map[*block]time.Duration{}, seen: map[*block]time.Time{}, spent: map[*deviceRun]time.Duration{},
	}
	var devices []*deviceRun
	for _, cost := range costs {
		d := &deviceRun{Device: &Device{Interval: intervals[0]}}
		for _, interval := range intervals {
			d.blocks = append(d.blocks, d.newBlock(span{}, pace{interval: interval}))
		}
		p.costs[d] = cost
		devices = append(devices, d)
	}
	p.schedule = newSchedule(devices)
	p.begin(p.now)
	return p
}

// run lets the bus work for a time.
func (p *plant) run(d time.Duration) {
	end, weighed := p.now.Add(d), p.now
	for p.now.Before(end) {
		if p.now.Sub(weighed) >= time.Second {
			weighed = p.now
			p.weigh(0)
		}
		b, wake := p.next(p.now)
		if b == nil {
			p.now = wake
			continue
		}
		p.poll(b)
	}
}

func (p *plant) poll(b *block) {
	if last, ok := p.seen[b]; ok {
		p.late[b] = max(p.late[b], p.now.Sub(last))
	}
	p.seen[b] = p.now
	p.polls[b]++
	cost := p.costs[b.device]
	if p.dead[b.device] {
		cost = plantTimeout
	}
	p.now = p.now.Add(cost)
	p.spent[b.device] += cost
	if p.dead[b.device] {
		b.device.failing = "timeout"
		p.failed(b.device, cost, lateAtLeast, p.now)
	} else {
		p.measured(b, cost)
		p.answered(b.device, p.now)
	}
	p.done(b, p.now)
}

func (p *plant) reset() {
	clear(p.polls)
	clear(p.late)
	clear(p.seen)
	clear(p.spent)
}

func TestSchedule_KeepsTheIntervalsWhileThereIsTime(t *testing.T) {
	p := newPlant(t, []time.Duration{100 * time.Millisecond, time.Second}, 5*time.Millisecond, 10*time.Millisecond, 20*time.Millisecond)
	p.run(10 * time.Second)
	p.reset()
	p.run(60 * time.Second)
	for _, d := range p.devices {
		require.InDelta(t, 600, p.polls[d.blocks[0]], 2)
		require.InDelta(t, 60, p.polls[d.blocks[1]], 1)
		require.Less(t, p.late[d.blocks[0]], 150*time.Millisecond)
	}
	require.Empty(t, p.overload())
	require.Equal(t, [3]float64{1, 1, 1}, p.stretch)
}

func TestSchedule_StretchesAllIntervalsAlikeWhenOverloaded(t *testing.T) {
	p := newPlant(t, []time.Duration{time.Second, 4 * time.Second}, 400*time.Millisecond, 400*time.Millisecond, 272*time.Millisecond)
	p.run(20 * time.Second)
	require.Contains(t, p.overload(), "bus needs 135 % of its time: intervals are stretched to 135 %, 1s to 1.35s")
	p.reset()
	p.run(200 * time.Second)
	for _, d := range p.devices {
		require.InDelta(t, 200/1.34, p.polls[d.blocks[0]], 12)
		require.InDelta(t, 50/1.34, p.polls[d.blocks[1]], 4)
	}
}

func TestSchedule_SilentDevicesTakeATwentiethTogether(t *testing.T) {
	p := newPlant(t, []time.Duration{time.Second}, 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond)
	for _, d := range p.devices[1:] {
		p.dead[d] = true
	}
	p.run(10 * time.Second)
	p.reset()
	p.run(400 * time.Second)
	var probes time.Duration
	for _, d := range p.devices[1:] {
		require.Greater(t, p.spent[d], 3*plantTimeout, "each is probed")
		probes += p.spent[d]
	}
	require.LessOrEqual(t, probes, 400*time.Second/20+plantTimeout)
	require.GreaterOrEqual(t, p.polls[p.devices[0].blocks[0]], 95*400/100)
}

func TestSchedule_ProbesOftenWhenNobodyElseNeedsTheBus(t *testing.T) {
	p := newPlant(t, []time.Duration{time.Second}, 20*time.Millisecond)
	p.dead[p.devices[0]] = true
	p.run(60 * time.Second)
	require.Greater(t, p.polls[p.devices[0].blocks[0]], 25)
}

func TestSchedule_TheFirstAnswerBringsAllBack(t *testing.T) {
	p := newPlant(t, []time.Duration{100 * time.Millisecond, time.Minute, time.Hour}, 5*time.Millisecond, 5*time.Millisecond, 5*time.Millisecond)
	for _, d := range p.devices[1:] {
		p.dead[d] = true
	}
	p.run(time.Minute)
	clear(p.dead)
	for p.devices[1].failing != "" && p.devices[2].failing != "" {
		p.run(10 * time.Millisecond)
	}
	p.reset()
	p.run(time.Second)
	for _, d := range p.devices[1:] {
		require.Empty(t, d.failing, "the other one was probed at once")
		for _, b := range d.blocks {
			require.Positive(t, p.polls[b])
		}
	}
}

func TestSchedule_SpreadsTheBlocksOverTheInterval(t *testing.T) {
	p := newPlant(t, []time.Duration{10 * time.Second}, make([]time.Duration, 10)...)
	var times []time.Time
	for end := p.now.Add(30 * time.Second); p.now.Before(end); {
		b, wake := p.next(p.now)
		if b == nil {
			p.now = wake
			continue
		}
		if !p.now.Before(end.Add(-10 * time.Second)) {
			times = append(times, p.now)
		}
		p.poll(b)
	}
	require.Len(t, times, 10)
	for i := 1; i < len(times); i++ {
		require.InDelta(t, time.Second, times[i].Sub(times[i-1]), float64(50*time.Millisecond))
	}
}

func TestSchedule_RefusedPointsAreAskedLessOften(t *testing.T) {
	p := newPlant(t, []time.Duration{time.Second}, time.Millisecond)
	b := p.devices[0].blocks[0]
	require.Equal(t, time.Second, p.interval(b))
	b.refusals = 3
	require.Equal(t, 2*time.Second, p.interval(b))
	b.refusals = 50
	require.Equal(t, time.Minute, p.interval(b))
	b.interval = time.Hour
	require.Equal(t, time.Hour, p.interval(b))
}

func TestUsage_IsThatOfTheLastSeconds(t *testing.T) {
	var u usage
	now := time.Unix(1000, 0)
	require.Zero(t, u.percent(now))
	for range 200 {
		now = now.Add(100 * time.Millisecond)
		u.add(now, 50*time.Millisecond)
	}
	require.InDelta(t, 50, u.percent(now), 3)
	now = now.Add(time.Hour)
	require.Zero(t, u.percent(now))
}

func TestLimits_AGapIsReadWhereARequestCostsMore(t *testing.T) {
	serial := func(baud int, text string, ascii bool) Link {
		s := &Serial{Baud: baud, ASCII: ascii}
		var f bridges.Faults
		s.Port, s.Format, s.RS485 = "/dev/ttyUSB0", text, "auto"
		s.check(&f, "")
		require.NoError(t, f.Err())
		return Link{Serial: s}
	}
	d := &Device{MaxRead: 50}
	require.Equal(t, limits{50, 11, 176}, limitsOf(serial(9600, "8N1", false), d))
	require.Equal(t, limits{50, 43, 500}, limitsOf(serial(115200, "8N1", false), d))
	require.Equal(t, 8, limitsOf(serial(9600, "7E1", true), d).registerGap)
	require.Equal(t, 60, limitsOf(Link{TCP: &TCP{}}, d).registerGap)
	require.Equal(t, 11, limitsOf(Link{RTUOverTCP: &TCP{}}, d).registerGap)
}
