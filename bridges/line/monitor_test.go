package line_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

// look gives a function that waits for a frame of the bridge with the direction, problem and words.
func look(t *testing.T, st *stage) (await func(direction, problem, words string) bridges.Frame) {
	t.Helper()
	st.bus.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"online"`)
	frames := make(chan bridges.Frame, 1000)
	stop, _, err := st.Watch("b", func(f bridges.Frame) {
		select {
		case frames <- f:
		default:
		}
	})
	require.NoError(t, err)
	t.Cleanup(stop)
	return func(direction, problem, words string) bridges.Frame {
		t.Helper()
		limit := time.After(20 * time.Second)
		var seen []string
		for {
			select {
			case f := <-frames:
				if f.Direction == direction && f.Problem == problem && strings.Contains(f.Words, words) {
					return f
				}
				seen = append(seen, f.Direction+"/"+f.Problem+"/"+f.Words)
			case <-limit:
				t.Fatalf("no %s with problem %q and words %q among %q", direction, problem, words, seen)
			}
		}
	}
}

func TestWatch_ShowsLinesWithWhatTheyMean(t *testing.T) {
	st := start(t, `"throttle":"0s","framing":{"max_length":40},"devices":[
		{"id":"scale","parse":{"regex":"^W(?P<weight>[-+0-9. ]*)kg"},"points":[{"id":"weight","unit":"kg"}]}]`)
	await := look(t, st)
	st.send("W 12.5kg\r\n")
	f := await("answer", "", "scale: weight=12.5 kg")
	require.Equal(t, "W 12.5kg<CR><LF>", f.Text)
	require.Equal(t, "572031322e356b670d0a", f.Hex)
	require.WithinDuration(t, time.Now(), f.Time, time.Minute)
	require.Zero(t, f.Unit)
	st.send("W xkg\r\n")
	await("other", "frame", "matches no device's parse")
	st.send("W 1..2kg\r\n")
	await("answer", "", "weight=parse")
	st.send(strings.Repeat("x", 100) + "\r\n")
	await("other", "frame", "max_length 40")
}

func TestWatch_ShowsDamagedTelegrams(t *testing.T) {
	st := start(t, `"throttle":"0s","devices":[{"id":"gps","parse":{"nmea":true},"points":[{"id":"lat","field":"GGA.lat"}]}]`)
	await := look(t, st)
	st.send("$GPGGA,1,2*00\r\n")
	require.Equal(t, "$GPGGA,1,2*00<CR><LF>", await("other", "crc", "checksum is wrong").Text)
}

func TestWatch_ShowsRequestsAndHowTheyEnd(t *testing.T) {
	var late, doubled atomic.Bool
	st := dialogue(t, bus, func(request string, reply func(string)) {
		switch {
		case request == "01W":
			reply("01W\r\n03 9.9kg\r\n01 1.5kg\r\n")
		case late.CompareAndSwap(true, false): // 150 ms after its time
			time.AfterFunc(300*time.Millisecond, func() { reply("02 2.5kg\r\n") })
		case doubled.CompareAndSwap(true, false):
			reply("02 2.5kg\r\n02 2.5kg\r\n")
		default:
			reply("02 2.5kg\r\n")
		}
	})
	await := look(t, st)
	require.Regexp(t, "^0[12]W<CR>$", await("request", "", "").Text)
	f := await("answer", "", "one: w=1.5 kg")
	require.Equal(t, "01 1.5kg<CR><LF>", f.Text)
	require.Positive(t, f.MS)
	await("other", "", "echo of the request")
	await("other", "foreign", "of another address")
	doubled.Store(true)
	await("other", "foreign", "nobody asked for it now")
	late.Store(true)
	await("answer", "timeout", "no answer within 150ms")
	await("other", "late", "given up")
}
