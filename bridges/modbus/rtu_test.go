package modbus

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// script is a wire whose other side sends pieces at set times after each request.
type script struct {
	timed  bool
	answer func(request []byte) []piece // nil for silence
	coming []piece                      // with their time of arrival
	sent   [][]byte
	times  []time.Time
}

type piece struct {
	after time.Duration
	b     []byte
	at    time.Time
}

func (s *script) Read(b []byte, deadline time.Time) (int, error) {
	if len(s.coming) == 0 || s.coming[0].at.After(deadline) {
		time.Sleep(time.Until(deadline))
		return 0, port.ErrTimeout
	}
	next := s.coming[0]
	s.coming = s.coming[1:]
	time.Sleep(time.Until(next.at))
	return copy(b, next.b), nil
}

func (s *script) Waiting(b []byte) (int, error) {
	n, err := s.Read(b, time.Now())
	if err == port.ErrTimeout {
		err = nil
	}
	return n, err
}

func (s *script) Listen(b []byte, deadline time.Time) (int, error) { return s.Read(b, deadline) }
func (s *script) Interrupt()                                       {}
func (s *script) Present() bool                                    { return true }
func (s *script) Timed() bool                                      { return s.timed }
func (s *script) Close() error                                     { return nil }

func (s *script) Write(b []byte, _ time.Time) error {
	s.sent, s.times = append(s.sent, b), append(s.times, time.Now())
	for _, p := range s.answer(b) {
		p.at = time.Now().Add(p.after)
		s.coming = append(s.coming, p)
	}
	slices.SortStableFunc(s.coming, func(a, b piece) int { return a.at.Compare(b.at) })
	return nil
}

// newLine makes the transport of a line at 9600 8N1 with a timeout of 100 ms.
func newLine(t *testing.T, w *script, change func(*Settings)) (*rtu, *ledger) {
	t.Helper()
	s := &Settings{Timeout: 100 * time.Millisecond, Link: Link{Serial: &Serial{Port: "/dev/x", Baud: 9600, Format: "8N1", RS485: "auto"}}}
	if change != nil {
		change(s)
	}
	var f bridges.Faults
	s.Link.Serial.check(&f, "")
	require.NoError(t, f.Err())
	l := &ledger{}
	line := newRTU(w, s, l, newDebts())
	line.nap = time.Sleep
	return line, l
}

const msec = time.Millisecond

func after(d time.Duration, b []byte) piece { return piece{after: d, b: b} }

func TestRTU_AnAnswerFasterThanTheWireIsAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := sealed(t, "01 03 0000 0002")
		stale, right := sealed(t, "01 03 04 0000 0001"), sealed(t, "01 03 04 0000 0002")
		w := &script{timed: true, answer: func([]byte) []piece { return []piece{after(9*msec, stale), after(30*msec, right)} }}
		line, l := newLine(t, w, nil)
		got, _, err := line.exchange(read)
		require.NoError(t, err)
		require.Equal(t, right, got, "8 + 9 characters take 17.7 ms at 9600 bit/s")
		require.EqualValues(t, 1, l.early)
		w.timed = false
		line, _ = newLine(t, w, nil)
		got, _, err = line.exchange(read)
		require.NoError(t, err)
		require.Equal(t, stale, got, "a port without a real bit rate may be fast")
	})
}

func TestRTU_AnOwedAnswerKeepsItsShapeFromTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two, other, three := sealed(t, "01 03 0000 0002"), sealed(t, "01 03 0010 0002"), sealed(t, "01 03 0000 0003")
		late := sealed(t, "01 03 04 1111 1111")
		w := &script{}
		w.answer = func(request []byte) []piece {
			switch {
			case len(w.sent) == 1:
				return []piece{after(400*msec, late)}
			case request[5] == 3:
				return []piece{after(30*msec, sealed(t, "01 03 06 3333 3333 3333"))}
			}
			return []piece{after(30*msec, sealed(t, "01 03 04 2222 2222"))}
		}
		line, _ := newLine(t, w, nil)
		_, _, err := line.exchange(two)
		require.ErrorContains(t, err, "no answer within 100ms")
		silent := time.Now()
		got, _, err := line.exchange(three)
		require.NoError(t, err)
		require.Equal(t, byte(0x33), got[3])
		require.Less(t, time.Since(silent), 50*msec, "another shape needs not wait")
		got, _, err = line.exchange(other)
		require.NoError(t, err)
		require.Equal(t, byte(0x22), got[3], "not the late one")
		require.GreaterOrEqual(t, w.times[2].Sub(silent), lateAtLeast)
	})
}

func TestRTU_ALateExceptionIsNotTakenForAnotherRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two, three := sealed(t, "01 03 0000 0002"), sealed(t, "01 03 0000 0003")
		w := &script{}
		w.answer = func([]byte) []piece {
			if len(w.sent) == 1 {
				return []piece{after(120*msec, sealed(t, "01 83 02"))}
			}
			return []piece{after(60*msec, sealed(t, "01 03 06 3333 3333 3333"))}
		}
		line, _ := newLine(t, w, nil)
		_, _, err := line.exchange(two)
		require.Error(t, err)
		got, _, err := line.exchange(three)
		require.NoError(t, err)
		require.Equal(t, byte(3), got[1])
	})
}

func TestRTU_KeepsTheSilenceAndEndsADamagedAnswerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := sealed(t, "01 03 0000 0002")
		damaged := sealed(t, "01 03 04 0000 0001")
		damaged[4] ^= 1
		w := &script{}
		w.answer = func([]byte) []piece {
			if len(w.sent) == 1 {
				return []piece{after(20*msec, damaged)}
			}
			return []piece{after(20*msec, sealed(t, "01 03 04 0000 0001"))}
		}
		line, _ := newLine(t, w, nil)
		begin := time.Now()
		_, _, err := line.exchange(read)
		require.ErrorContains(t, err, "damaged")
		require.LessOrEqual(t, time.Since(begin), 20*msec+50*msec)
		for range 2 {
			_, _, err = line.exchange(read)
			require.NoError(t, err)
		}
		gap := w.times[2].Sub(w.times[1].Add(20 * msec))
		require.GreaterOrEqual(t, gap, line.silence())
		require.Less(t, gap, line.silence()+msec)
	})
}

func TestRTU_BroadcastLeavesTheUnitsTimeToObey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{answer: func(request []byte) []piece {
			if request[0] == 0 {
				return nil
			}
			return []piece{after(20*msec, sealed(t, "01 03 04 0000 0001"))}
		}}
		line, _ := newLine(t, w, nil)
		write := sealed(t, "00 10 0010 0001 02 0007")
		got, _, err := line.exchange(write)
		require.NoError(t, err)
		require.Equal(t, sealed(t, "00 10 0010 0001"), got)
		_, _, err = line.exchange(sealed(t, "01 03 0000 0002"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, w.times[1].Sub(w.times[0]), turnaround)
	})
}

func TestASCII_FindsTheAnswerAndNothingElse(t *testing.T) {
	read := sealed(t, "01 03 0000 0002")
	answer := sealed(t, "01 03 04 1122 3344")
	wire := string(asciiFraming{}.wire(answer))
	require.Equal(t, ":01030411223344"+"4E"+"\r\n", wire)
	require.Equal(t, len(wire), asciiFraming{}.chars(len(answer)))
	for _, c := range []struct {
		name, in string
		found    bool
		want     finding
	}{
		{"answer", wire, true, finding{}},
		{"small letters", ":010304112233444e\r\n", true, finding{}},
		{"noise before", "xx\xff" + wire, true, finding{foreign: true}},
		{"begun anew", ":0103" + wire, true, finding{foreign: true, corrupt: true}},
		{"another's first", string(asciiFraming{}.wire(sealed(t, "02 03 04 1122 3344"))) + wire, true, finding{foreign: true}},
		{"half", wire[:9], false, finding{unending: true}},
		{"wrong LRC", ":0103041122334400\r\n", false, finding{corrupt: true, foreign: true}},
		{"no digits", ":01zz041122334400\r\n", false, finding{corrupt: true, foreign: true}},
		{"too short", string(asciiFraming{}.wire(sealed(t, "01 03 02 1122"))), false, finding{foreign: true}},
		{"exception", string(asciiFraming{}.wire(sealed(t, "01 83 02"))), true, finding{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := asciiFraming{}.scan(read, []byte(c.in))
			require.Equal(t, c.found, f.frame != nil)
			require.Equal(t, c.want.corrupt, f.corrupt, "corrupt")
			require.Equal(t, c.want.foreign, f.foreign, "foreign")
			require.Equal(t, c.want.unending, f.unending, "unending")
		})
	}
}

// Whatever comes, what is found is an answer of the unit that was asked.
func FuzzASCII(f *testing.F) {
	f.Add([]byte(":010304112233444E\r\n"))
	f.Add([]byte(":0103:010304112233444E\r\n:"))
	f.Add([]byte(":018302\r\n"))
	request := sealed(f, "01 03 0000 0002")
	f.Fuzz(func(t *testing.T, in []byte) {
		got := asciiFraming{}.scan(request, in)
		if got.frame == nil {
			return
		}
		require.True(t, crcRight(got.frame))
		require.Equal(t, byte(1), got.frame[0])
		if got.frame[1] == 3 {
			require.Len(t, got.frame, 9)
		}
		again := asciiFraming{}.scan(request, append([]byte("noise"), in...))
		require.Equal(t, got.frame, again.frame)
	})
}

func TestScan_KnowsTheLengthOfEachFunction(t *testing.T) {
	for _, c := range []struct{ name, request, answer string }{
		{"exception status", "01 07", "01 07 55"},
		{"loopback", "01 08 0000 A537", "01 08 0000 A537"},
		{"event counter", "01 0B", "01 0B 0000 0108"},
		{"server id", "01 11", "01 11 03 0102FF"},
		{"mask write", "01 16 0004 00F2 0025", "01 16 0004 00F2 0025"},
		{"read and write", "01 17 0003 0002 000E 0001 02 00FF", "01 17 04 1122 3344"},
		{"queue", "01 18 04DE", "01 18 0006 0002 01B8 1284"},
		{"device", "01 2B 0E 01 00", "01 2B 0E 01 01 00 00 02 00 02 4142 01 01 43"},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, answer := sealed(t, c.request), sealed(t, c.answer)
			require.Equal(t, answer, scan(request, append([]byte{9}, answer...)).frame)
			for n := 1; n < len(answer); n++ {
				f := scan(request, answer[:n])
				require.Nil(t, f.frame)
				require.True(t, f.unending, n)
			}
			answer[0] = 2
			require.Nil(t, scan(request, answer).frame)
		})
	}
}

func TestCountFrames(t *testing.T) {
	require.Zero(t, countFrames([]byte{1, 2, 3}))
	require.Equal(t, 2, countFrames(append(sealed(t, "09 03 0000 0001"), sealed(t, "09 03 02 0007")...)))
}

// A slave that hung answers all that it was asked at once, long after any timeout.
func TestRTU_AfterATimeoutTheFirstAnswerIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := sealed(t, "01 03 0000 0002"), sealed(t, "01 03 0010 0002")
		w := &script{}
		w.answer = func(request []byte) []piece {
			switch {
			case len(w.sent) == 1:
				return []piece{after(590*msec, sealed(t, "01 03 04 1111 1111"))}
			case request[3] == 0x10 && len(w.sent) == 2:
				return []piece{after(60*msec, sealed(t, "01 03 04 2222 2222"))}
			}
			return []piece{after(20*msec, sealed(t, "01 03 04 3333 3333"))}
		}
		line, _ := newLine(t, w, nil)
		_, _, err := line.exchange(first)
		require.Error(t, err)
		got, _, err := line.exchange(second)
		require.NoError(t, err)
		require.Equal(t, byte(0x33), got[3])
		require.Len(t, w.sent, 3)
		_, _, err = line.exchange(second)
		require.NoError(t, err)
		require.Len(t, w.sent, 4, "believed again")
	})
}

// The echo of a write looks just like its answer.
func TestRTU_AnEchoIsNoAnswerToTheFirstWrite(t *testing.T) {
	write, loopback := sealed(t, "01 06 0010 0007"), sealed(t, "01 08 0000 A537")
	mask, several := sealed(t, "01 16 0004 00F2 0025"), sealed(t, "01 10 0010 0001 02 0007")
	for _, c := range []struct {
		name    string
		request []byte
		noise   []byte
		answers bool
	}{
		{"to a dead unit", write, nil, false},
		{"behind noise", write, []byte{0}, false},
		{"of a loopback", loopback, nil, false},
		{"of a mask write", mask, nil, false},
		{"of several registers, slowly obeyed", several, nil, true},
		{"of a write that is obeyed", write, nil, true},
		{"of a write that is obeyed, behind noise", write, []byte{0x55}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &script{}
				w.answer = func(request []byte) []piece {
					echo := []piece{after(8*msec, append(slices.Clone(c.noise), request...))}
					switch {
					case !c.answers:
						return echo
					case request[1] == 3:
						return append(echo, after(70*msec, sealed(t, "01 83 02")))
					case request[1] == 16:
						return append(echo[:0], after(4*msec, request[:9]), after(9*msec, request[9:]), after(90*msec, sealed(t, "01 10 0010 0001")))
					}
					return append(echo, after(70*msec, request))
				}
				line, _ := newLine(t, w, nil)
				begin := time.Now()
				_, _, err := line.exchange(c.request)
				if !c.answers {
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				require.GreaterOrEqual(t, time.Since(begin), 70*msec, "not the echo")
			})
		})
	}
}

func TestRTU_ALateQueueOfAnotherAddressIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{}
		w.answer = func([]byte) []piece {
			if len(w.sent) == 1 {
				return []piece{after(590*msec, sealed(t, "01 18 0004 0001 1111"))}
			}
			return []piece{after(20*msec, sealed(t, "01 18 0004 0001 2222"))}
		}
		line, _ := newLine(t, w, nil)
		_, _, err := line.exchange(sealed(t, "01 18 0010"))
		require.Error(t, err)
		got, _, err := line.exchange(sealed(t, "01 18 0020"))
		require.NoError(t, err)
		require.Equal(t, byte(0x22), got[6])
	})
}
