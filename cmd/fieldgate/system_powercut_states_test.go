package main_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// powercutLog names the file in which the load and the recorder below it write down what happens, in one order.
const powercutLog = "FIELDGATE_POWERCUT_LOG"

// event is one record: a write of data at a place ('w'), a file cut to a size ('t') or removed ('u'), a flush that begins ('b') or has
// worked ('e'), a promise ('P').
type event struct {
	kind byte
	tid  uint32
	name string
	at   int64
	data []byte
}

const eventHead = 24

// powercutStates asks for so many states of the whole load, however long that takes.
const powercutStates = "FIELDGATE_POWERCUT_STATES"

// openPowercutLog opens the log of promises, nil when there is none.
func openPowercutLog() *os.File {
	name := os.Getenv(powercutLog)
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	return f
}

// encodePromise gives the record of a promise.
func encodePromise(text string) []byte {
	b := make([]byte, eventHead, eventHead+len(text))
	b[0] = 'P'
	binary.LittleEndian.PutUint32(b[8:], uint32(len(text)))
	return append(b, text...)
}

func readLog(t *testing.T, name string) (events []event) {
	t.Helper()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	for len(raw) > 0 {
		e := event{kind: raw[0], tid: binary.LittleEndian.Uint32(raw[4:]), at: int64(binary.LittleEndian.Uint64(raw[16:]))}
		names, size := int(raw[1]), int(binary.LittleEndian.Uint32(raw[8:]))
		raw = raw[eventHead:]
		e.name, e.data, raw = string(raw[:names]), raw[names:names+size], raw[names+size:]
		events = append(events, e)
	}
	return events
}

// drive is the disk while the events happen: what is durable of each file, and what is not yet.
type drive struct {
	durable map[string][]byte
	open    map[string][]event // writes and cuts that no finished flush covers
	flushes map[string]int     // by file and thread: how many of those there were when its flush began
	acks    bytes.Buffer
}

func newDrive() *drive {
	return &drive{durable: map[string][]byte{}, open: map[string][]event{}, flushes: map[string]int{}}
}

// happen takes the next event.
func (d *drive) happen(e event) {
	flush := fmt.Sprint(e.name, " ", e.tid)
	switch e.kind {
	case 'P':
		d.acks.Write(e.data)
	case 'w', 't':
		d.open[e.name] = append(d.open[e.name], e)
	case 'u':
		delete(d.durable, e.name)
		delete(d.open, e.name)
	case 'b':
		d.flushes[flush] = len(d.open[e.name])
	case 'e':
		covered := d.flushes[flush]
		for _, w := range d.open[e.name][:covered] {
			d.durable[e.name] = w.apply(d.durable[e.name])
		}
		d.open[e.name] = slices.Clone(d.open[e.name][covered:])
		for other := range d.flushes { // what other flushes counted has moved
			d.flushes[other] = max(0, d.flushes[other]-covered)
		}
	}
}

func (e event) apply(file []byte) []byte {
	if e.kind == 't' {
		if int(e.at) <= len(file) {
			return file[:e.at]
		}
		return append(file, make([]byte, int(e.at)-len(file))...)
	}
	if end := int(e.at) + len(e.data); end > len(file) {
		file = append(file, make([]byte, end-len(file))...)
	}
	copy(file[e.at:], e.data)
	return file
}

// sector is what a disk writes whole.
const sector = 512

// cut writes down a state in which a power cut may leave the disk now: of what is not durable anything may be there,
// a write perhaps in part.
func (d *drive) cut(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	share := []float64{0, 0.5, 0.9, 1}[random.IntN(4)] // how much of it, about
	for _, name := range slices.Sorted(maps.Keys(d.open)) {
		file := slices.Clone(d.durable[name])
		for _, w := range d.open[name] {
			if random.Float64() >= share {
				continue
			}
			if w.kind == 'w' && random.IntN(4) == 0 {
				from := random.IntN(len(w.data)/sector+1) * sector
				to := from + random.IntN((len(w.data)-from)/sector+1)*sector
				w.at, w.data = w.at+int64(from), w.data[from:to]
			}
			file = w.apply(file)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), file, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "acks"), d.acks.Bytes(), 0o600))
}

// recordLoad runs the load under the recorder and gives what happened.
func recordLoad(t *testing.T, durability string) []event {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("cc is missing")
		}
		t.Skip("cc is missing")
	}
	work := t.TempDir()
	library, log, data := filepath.Join(work, "record.so"), filepath.Join(work, "log"), filepath.Join(work, "data")
	out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-o", library, "testdata/record.c", "-ldl", "-lpthread").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Mkdir(data, 0o700))
	load := exec.Command(os.Args[0], "-test.run", "^TestPowercut_Load$")
	share := "8"
	if os.Getenv(powercutStates) != "" {
		share = "1"
	}
	load.Env = append(os.Environ(), powercutEnv+"="+data, powercutDurability+"="+durability, powercutLog+"="+log, powercutShare+"="+share,
		"LD_PRELOAD="+library, "RECORD_DIR="+data, "RECORD_LOG="+log)
	out, err = load.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return readLog(t, log)
}

// verdict is what the judge says of one state.
type verdict struct {
	at   int
	good bool
	text string
}

// judgeStates shows states to the judge, at most so many, and no more once the time is over; each says where it was cut.
func judgeStates(t *testing.T, events []event, most int, within time.Duration) []verdict {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(len(events)), 1))
	first := slices.IndexFunc(events, func(e event) bool { return e.kind == 'P' }) // before it the names may not be durable
	var cuts []int
	for range most {
		cuts = append(cuts, first+random.IntN(len(events)-first))
	}
	// spread over the whole run also when the time ends early: the drive plays forward, so each pass is sorted
	var verdicts []verdict
	deadline := time.Now().Add(within)
	const pass = 25
	for len(cuts) > 0 && time.Now().Before(deadline) {
		n := min(pass, len(cuts))
		verdicts = append(verdicts, judgePass(t, events, slices.Sorted(slices.Values(cuts[:n])), random)...)
		cuts = cuts[n:]
	}
	return verdicts
}

func judgePass(t *testing.T, events []event, cuts []int, random *rand.Rand) []verdict {
	t.Helper()
	d, at := newDrive(), 0
	verdicts := make([]verdict, len(cuts))
	judges := make(chan struct{}, 2)
	var running sync.WaitGroup
	defer running.Wait()
	for i, where := range cuts {
		for ; at < where; at++ {
			d.happen(events[at])
		}
		dir, err := os.MkdirTemp(t.TempDir(), "state")
		require.NoError(t, err)
		d.cut(t, dir, random)
		judges <- struct{}{}
		running.Go(func() {
			defer func() { <-judges }()
			judge := exec.Command(os.Args[0], "-test.run", "^TestPowercut_Judge$")
			judge.Env = append(os.Environ(), "POWERCUT_DIR="+dir, "POWERCUT_ACKS="+filepath.Join(dir, "acks"))
			out, err := judge.CombinedOutput()
			verdicts[i] = verdict{where, err == nil, string(tail(out, 3000))}
			_ = os.RemoveAll(dir)
		})
	}
	running.Wait()
	return verdicts
}

// TestSystem_PowerCutLosesNothing records a broker under load and shows states in which a power cut could have left
// its disk to the judge: nothing that was acknowledged is lost, nothing of QoS 2 comes twice, everything opens. With
// durability crash_safe something must be lost, or the judge is blind. make powercut does the same with 2,000 states
// and all of the load.
func TestSystem_PowerCutLosesNothing(t *testing.T) {
	if os.Getenv("POWERCUT_DIR")+os.Getenv(powercutEnv) != "" {
		t.Skip("a child of this test")
	}
	states, within := 200, 25*time.Second
	if n, err := strconv.Atoi(os.Getenv(powercutStates)); err == nil {
		states, within = n, time.Hour
	}
	events := recordLoad(t, "power_safe")
	began := time.Now()
	verdicts := judgeStates(t, events, states, within)
	require.NotEmpty(t, verdicts)
	for _, v := range verdicts {
		require.True(t, v.good, "cut before event %d of %d: %s", v.at, len(events), v.text)
	}
	t.Logf("%d events, %d states in %v, none bad", len(events), len(verdicts), time.Since(began))

	events = recordLoad(t, "crash_safe")
	lost := func(v verdict) bool { return !v.good }
	verdicts = judgeStates(t, events, 50, 25*time.Second)
	require.True(t, slices.ContainsFunc(verdicts, lost), "%d states without a flush of each commit, and nothing is lost: the judge sees nothing", len(verdicts))
}
