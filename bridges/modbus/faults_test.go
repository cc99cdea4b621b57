package modbus_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/sim"
)

// faultTimeout is the bridge's; an answer later than that is a late one.
const faultTimeout = 60 * time.Millisecond

// ruler is a device whose uint64 at an address tells the unit and the address that
// were asked, and the how manieth answer it is: a value that is taken for another's, or twice, is seen.
type ruler struct {
	unit     int
	sequence *counter
}

type counter struct {
	mu sync.Mutex
	n  uint64
}

func (c *counter) next() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

const sequenceBits = 40

func rulerTag(unit, address int) uint64 { return uint64(unit*1000 + address) }

func (r ruler) ReadRegisters(_ sim.Table, address, quantity int) ([]uint16, sim.Exception) {
	if quantity != 4 {
		return nil, sim.IllegalAddress
	}
	n := rulerTag(r.unit, address)<<sequenceBits | r.sequence.next()
	return []uint16{uint16(n >> 48), uint16(n >> 32), uint16(n >> 16), uint16(n)}, sim.OK
}

func (ruler) ReadBits(sim.Table, int, int) ([]bool, sim.Exception) { return nil, sim.IllegalFunction }
func (ruler) WriteBits(int, []bool) sim.Exception                  { return sim.IllegalFunction }
func (ruler) WriteRegisters(int, []uint16) sim.Exception           { return sim.IllegalFunction }

// faultyLine spoils some of the answers that the simulated devices give.
type faultyLine struct {
	io.ReadWriteCloser
	spoil func(l *faultyLine, answer []byte)
	most  int    // faults
	heard func() // is told of everything that was sent, when set

	mu       sync.Mutex // protects what follows
	answers  int
	injected int
	spoiled  map[uint64]bool // values that must never be published
	delayed  sync.WaitGroup
}

func (l *faultyLine) Write(answer []byte) (int, error) {
	l.mu.Lock()
	l.answers++
	now := l.answers%4 == 3 && l.injected < l.most
	if now {
		l.injected++
	}
	l.mu.Unlock()
	if !now {
		return l.ReadWriteCloser.Write(answer)
	}
	l.spoil(l, slices.Clone(answer))
	return len(answer), nil
}

func (l *faultyLine) done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.injected == l.most
}

// send ignores errors: the line may be gone at the test's end.
func (l *faultyLine) send(parts ...[]byte) {
	for _, p := range parts {
		_, _ = l.ReadWriteCloser.Write(p)
	}
	if l.heard != nil {
		l.heard()
	}
}

func (l *faultyLine) pause(d time.Duration) { <-time.After(d) }

// forbid remembers that the answer's value comes too late.
func (l *faultyLine) forbid(answer []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spoiled[binary.BigEndian.Uint64(answer[3:])] = true
}

// late sends the answer after the timeout, while the bus goes on.
func (l *faultyLine) late(after time.Duration, parts ...[]byte) {
	l.forbid(parts[0])
	l.delayed.Go(func() {
		l.pause(faultTimeout + after)
		l.send(parts...)
	})
}

func frame(b ...byte) []byte {
	c := uint16(0xFFFF)
	for _, x := range b {
		c ^= uint16(x)
		for range 8 {
			odd := c & 1
			if c >>= 1; odd == 1 {
				c ^= 0xA001
			}
		}
	}
	return binary.LittleEndian.AppendUint16(b, c)
}

var faults = []struct {
	name  string
	spoil func(l *faultyLine, answer []byte)
}{
	{"first byte lost", func(l *faultyLine, a []byte) { l.send(a[1:]) }},
	{"byte in the middle lost", func(l *faultyLine, a []byte) { l.send(slices.Delete(a, 6, 7)) }},
	{"last byte lost", func(l *faultyLine, a []byte) { l.send(a[:len(a)-1]) }},
	{"bit of the data flipped", func(l *faultyLine, a []byte) { a[8] ^= 0x10; l.send(a) }},
	{"bit of the unit flipped", func(l *faultyLine, a []byte) { a[0] ^= 3; l.send(a) }},
	{"bit of the length flipped", func(l *faultyLine, a []byte) { a[2] ^= 2; l.send(a) }},
	{"byte doubled", func(l *faultyLine, a []byte) { l.send(slices.Insert(a, 5, a[5])) }},
	{"noise before", func(l *faultyLine, a []byte) { l.send([]byte{0xFF, 0, a[0], 3, 8}, a) }},
	{"noise after", func(l *faultyLine, a []byte) { l.send(a, []byte{0, 0xFF, a[0], a[1], a[2]}) }},
	{"only noise", func(l *faultyLine, _ []byte) { l.send([]byte{7, 7, 1, 3, 8, 0xFF, 0, 0, 1}) }},
	{"echo", func(l *faultyLine, a []byte) { l.send(frame(a[0], a[1], 0, 0, 0, 4), a) }},
	{"split", func(l *faultyLine, a []byte) {
		l.send(a[:4])
		l.pause(15 * time.Millisecond)
		l.send(a[4:])
	}},
	{"byte by byte", func(l *faultyLine, a []byte) {
		for i := range a {
			l.send(a[i : i+1])
		}
	}},
	{"too short with a right CRC", func(l *faultyLine, a []byte) { l.send(frame(a[0], a[1], 4, 1, 2, 3, 4)) }},
	{"too long with a right CRC", func(l *faultyLine, a []byte) { l.send(frame(append([]byte{a[0], a[1], 10}, make([]byte, 10)...)...)) }},
	{"another unit instead", func(l *faultyLine, a []byte) { l.send(frame(append([]byte{a[0] ^ 3}, a[1:len(a)-2]...)...)) }},
	{"another unit first", func(l *faultyLine, a []byte) { l.send(frame(append([]byte{a[0] ^ 3}, a[1:len(a)-2]...)...), a) }},
	{"another function", func(l *faultyLine, a []byte) { a[1] = 4; l.send(frame(a[:len(a)-2]...)) }},
	{"exception 1", func(l *faultyLine, a []byte) { l.send(frame(a[0], a[1]|0x80, 1)) }},
	{"exception 4", func(l *faultyLine, a []byte) { l.send(frame(a[0], a[1]|0x80, 4)) }},
	{"exception 6", func(l *faultyLine, a []byte) { l.send(frame(a[0], a[1]|0x80, 6)) }},
	{"silence", func(*faultyLine, []byte) {}},
	{"answer twice", func(l *faultyLine, a []byte) { l.send(a, a) }},
	{"late by 10 ms", func(l *faultyLine, a []byte) { l.late(10*time.Millisecond, a) }},
	{"late by 100 ms", func(l *faultyLine, a []byte) { l.late(100*time.Millisecond, a) }},
	{"late by 400 ms", func(l *faultyLine, a []byte) { l.late(400*time.Millisecond, a) }},
	{"late and twice", func(l *faultyLine, a []byte) { l.late(100*time.Millisecond, a, a) }},
}

// Each fault is put between a bridge and two units with two reads of one shape
// each. Whatever happens, no value is published that is not the answer to its own question, and polling goes on.
func TestBridge_NeverPublishesAWrongValue(t *testing.T) {
	points := ""
	for i, unit := range []int{1, 2} {
		if i > 0 {
			points += ","
		}
		points += fmt.Sprintf(`{"id":"unit-%d","unit":%d,"interval":"20ms","points":[
			{"id":"at-0","address":0,"type":"uint64"},{"id":"at-100","address":100,"type":"uint64"}]}`, unit, unit)
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			link := filepath.Join(t.TempDir(), "ttyUSB0")
			pty, err := sim.NewPTY(link)
			require.NoError(t, err)
			line := &faultyLine{ReadWriteCloser: pty, spoil: fault.spoil, most: 4, spoiled: map[uint64]bool{}}
			sequence := &counter{}
			stop := serve(t, line, map[byte]sim.Device{1: ruler{1, sequence}, 2: ruler{2, sequence}})
			f := start(t, serial(link, fmt.Sprintf(`"timeout":"%v","devices":[%s]`, faultTimeout, points)))
			f.Await(t, "all faults injected", line.done)
			for _, topic := range rulerTopics() {
				before := len(f.Messages(topic.name))
				f.Await(t, "good values again", func() bool {
					list := f.readings(t, topic.name)
					return len(list) > before+2 && list[len(list)-1].Quality == "good"
				})
			}
			line.delayed.Wait()
			stop()
			for _, topic := range rulerTopics() {
				seen := map[uint64]bool{}
				for _, payload := range f.Payloads(topic.name) {
					var r struct {
						Value   json.Number
						Quality string
					}
					require.NoError(t, json.Unmarshal([]byte(payload), &r))
					if r.Quality == "bad" {
						require.Empty(t, r.Value)
						continue
					}
					var n uint64
					_, err := fmt.Sscan(r.Value.String(), &n)
					require.NoError(t, err)
					require.Equal(t, topic.tag, n>>sequenceBits, "the value of another point")
					require.False(t, line.spoiled[n], "a late value")
					require.False(t, seen[n], "an old value again")
					seen[n] = true
				}
			}
		})
	}
}

type rulerTopic struct {
	name string
	tag  uint64
}

func rulerTopics() []rulerTopic {
	var topics []rulerTopic
	for _, unit := range []int{1, 2} {
		for _, address := range []int{0, 100} {
			topics = append(topics, rulerTopic{fmt.Sprintf("fieldgate/unit-%d/at-%d", unit, address), rulerTag(unit, address)})
		}
	}
	return topics
}

// echoLine gives back what is sent to it, and does not answer writes.
type echoLine struct{ io.ReadWriteCloser }

func (l echoLine) Read(b []byte) (int, error) {
	n, err := l.ReadWriteCloser.Read(b)
	if n > 0 {
		_, _ = l.ReadWriteCloser.Write(b[:n])
	}
	if n > 1 && b[1] == 6 {
		b[0] ^= 0x40 // now it is for a unit that is not there
	}
	return n, err
}

// The answer to a write of one register looks just like its request, and so does its echo.
func TestWrite_AnEchoIsNoAnswer(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	pty, err := sim.NewPTY(link)
	require.NoError(t, err)
	serve(t, echoLine{pty}, cabinet())
	f := start(t, serial(link, cabinetDevices))
	f.AwaitRetained(t, "fieldgate/meter/period", `"value":15`)
	f.AwaitRetained(t, "fieldgate/relays/relay-1", `"value":false`)
	require.NoError(t, f.Publish(t.Context(), set("fieldgate/meter/period/set", "30"), nil))
	f.Await(t, "a result", func() bool { return len(f.Payloads("fieldgate/meter/period/result")) > 0 })
	require.Contains(t, f.Payloads("fieldgate/meter/period/result")[0], `"code":"frame"`)
	f.AwaitRetained(t, "fieldgate/meter/period", `"value":15`)
}
