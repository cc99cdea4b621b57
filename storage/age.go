package storage

import (
	"encoding/binary"
	"os"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fieldgate/broker/mqtt"
)

// How old messages are is told without the wall clock, which jumps on machines
// that have no battery: the file keeps the time that spools on it have seen pass,
// and marks that say which IDs were given out before which moment of that time.
// Time that passed while the spool was closed counts when the machine kept running.
const (
	markPause  = time.Minute // between two marks, and between two stores of them
	markLeast  = 10 * time.Millisecond
	maxMarks   = 1024
	sweepParts = 16 // so many looks at the queues in the shortest age that is allowed
)

// mark says that every ID below was given out before that moment.
type mark struct {
	id mqtt.MsgID
	at time.Duration // by Spool.age
}

// marks are sorted by ID and by time. Protected by Spool.mu.
type marks struct {
	list  []mark
	pause time.Duration // between two of them
}

// note sets a mark when the last one is long enough ago; id is about to be given out.
func (m *marks) note(id mqtt.MsgID, now time.Duration) {
	if n := len(m.list); n > 0 && now-m.list[n-1].at < m.pause {
		return
	}
	m.list = append(m.list, mark{id, now})
	if len(m.list) > maxMarks {
		m.thin()
	}
}

// thin keeps about half as many, at even distances.
func (m *marks) thin() {
	last := len(m.list) - 1
	step := (m.list[last].at - m.list[0].at) / (maxMarks / 2)
	kept := m.list[:1]
	for _, x := range m.list[1:last] {
		if x.at-kept[len(kept)-1].at >= step {
			kept = append(kept, x)
		}
	}
	m.list = append(kept, m.list[last])
}

// before gives the ID below which everything was given out before that moment.
func (m *marks) before(at time.Duration) mqtt.MsgID {
	id := mqtt.MsgID(0)
	for _, x := range m.list {
		if x.at > at {
			break
		}
		id = x.id
	}
	return id
}

// of gives the moment of the last mark before the ID was given out; false when none is known.
func (m *marks) of(id mqtt.MsgID) (at time.Duration, known bool) {
	n := sort.Search(len(m.list), func(i int) bool { return m.list[i].id > id })
	if n == 0 {
		return 0, false
	}
	return m.list[n-1].at, true
}

// age is the time that spools on this file have seen pass.
func (s *Spool) age() time.Duration { return s.lived + s.now() }

// tellTime makes the moment at which a message that expires was accepted one that
// lies as far back as it is old: the wall clock may have been set since then.
func (s *Spool) tellTime(b stored) {
	if b.message.Expiry > 0 {
		b.message.Accepted = time.Now().Add(-max(s.age()-b.age, 0))
	}
}

// dropOutdated takes what has waited for too long out of the queues, when it is time to look.
func (s *Spool) dropOutdated() {
	now := s.now()
	if s.nextSweep == 0 || now < s.nextSweep || s.closing {
		return
	}
	shortest := time.Duration(0)
	for _, q := range s.sessions {
		limit := q.limits.Age
		if limit <= 0 {
			continue
		}
		if shortest == 0 || limit < shortest {
			shortest = limit
		}
		s.dropBefore(q, s.marks.before(s.age()-limit))
	}
	s.nextSweep = 0
	if shortest > 0 {
		pause := min(max(shortest/sweepParts, markLeast), markPause)
		s.marks.pause = pause
		s.nextSweep = now + pause
		// what came before this look has a mark to be told by
		s.marks.note(s.next, s.age())
	}
}

// dropBefore drops messages with lower IDs, whole segments where it can.
func (s *Spool) dropBefore(q *queue, id mqtt.MsgID) {
	for p, pos := q.first(); p != nil && p.seg.id(pos) < id; p, pos = q.first() {
		n := int64(1)
		if p.seg.sealed && p.seg.last() < id {
			n = int64(p.n)
			s.dropPart(q, p)
		} else {
			s.settle(q, p, pos)
		}
		q.losses.Outdated += n
		s.losses.Outdated += n
	}
}

const clockFormat = 1

// encodeClock gives what the file is to know of the time.
func (s *Spool) encodeClock(age time.Duration) []byte {
	boot, up := uptime()
	b := append(make([]byte, 0, 64+4*len(s.marks.list)), clockFormat)
	b = binary.AppendUvarint(b, uint64(len(boot)))
	b = append(b, boot...)
	b = binary.AppendUvarint(b, uint64(up))
	b = binary.AppendUvarint(b, uint64(age))
	id, at := mqtt.MsgID(0), time.Duration(0)
	for _, x := range s.marks.list {
		b = binary.AppendUvarint(b, uint64(x.id-id))
		b = binary.AppendUvarint(b, uint64(x.at-at))
		id, at = x.id, x.at
	}
	return b
}

// decodeClock takes over what the file knows of the time. What it can't read
// makes messages younger than they are, never older.
func (s *Spool) decodeClock(b []byte) {
	s.marks = marks{pause: markPause}
	if len(b) == 0 || b[0] != clockFormat {
		return
	}
	d := clockReader{rest: b[1:]}
	boot := d.bytes()
	up, age := time.Duration(d.number()), time.Duration(d.number())
	var list []mark
	for x := (mark{}); len(d.rest) > 0; {
		x.id += mqtt.MsgID(d.number())
		x.at += time.Duration(d.number())
		if x.at > age || x.at < 0 || x.id > s.next || len(list) > maxMarks {
			d.bad = true
			break
		}
		list = append(list, x)
	}
	if d.bad || age < 0 || up < 0 {
		return
	}
	s.lived, s.marks.list = age, list
	if now, since := uptime(); now == boot && since > up {
		s.lived += since - up
	}
}

// clockReader reads numbers until something is wrong with them.
type clockReader struct {
	rest []byte
	bad  bool
}

func (d *clockReader) number() uint64 {
	x, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return x
}

func (d *clockReader) bytes() string {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return ""
	}
	b := string(d.rest[:n])
	d.rest = d.rest[n:]
	return b
}

// uptime gives the name of this run of the machine and how long it has lasted,
// sleep included; an empty name when that is not known.
func uptime() (boot string, since time.Duration) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0
	}
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return "", 0
	}
	return strings.TrimSpace(string(id)), time.Duration(t.Nano())
}
