package modbus

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func tcpRead(unit byte, address uint16) []byte {
	b := []byte{0, 99, 0, 0, 0, 6, unit, 3, 0, 0, 0, 1}
	binary.BigEndian.PutUint16(b[8:], address)
	return b
}

// tcpAnswer echoes the address as the register's value.
func tcpAnswer(request []byte) []byte {
	return append(append([]byte{}, request[0], request[1], 0, 0, 0, 5, request[6], 3, 2), request[8], request[9])
}

func newTCP(w *script, outstanding int) (*mbap, *ledger) {
	l := &ledger{}
	return newMBAP(w, &Settings{Timeout: 100 * msec, Link: Link{TCP: &TCP{Outstanding: outstanding}}}, l), l
}

func TestMBAP_SeveralRequestsUnderWayMatchedByIdentifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{}
		w.answer = func(request []byte) []piece {
			slower := time.Duration(40-10*len(w.sent)) * msec // the first is answered last
			return []piece{after(slower, tcpAnswer(request))}
		}
		line, _ := newTCP(w, 3)
		got := map[uint16]uint16{}
		order := []uint16{}
		for address := range uint16(3) {
			require.False(t, line.full())
			line.post(tcpRead(1, address), func(answer []byte, _ time.Time, err error) {
				require.NoError(t, err)
				require.EqualValues(t, 99, binary.BigEndian.Uint16(answer), "the caller's identifier")
				got[address] = binary.BigEndian.Uint16(answer[9:])
				order = append(order, address)
			})
		}
		require.True(t, line.full())
		for len(got) < 3 {
			require.NoError(t, line.attend(time.Now().Add(time.Second)))
		}
		require.Equal(t, map[uint16]uint16{0: 0, 1: 1, 2: 2}, got)
		require.Equal(t, []uint16{2, 1, 0}, order)
	})
}

func TestMBAP_ATimeoutHitsOnlyItsOwnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{}
		w.answer = func(request []byte) []piece {
			if request[6] == 9 {
				return []piece{after(300*msec, tcpAnswer(request))}
			}
			return []piece{after(5*msec, tcpAnswer(request))}
		}
		line, l := newTCP(w, 2)
		var dead error
		line.post(tcpRead(9, 7), func(_ []byte, _ time.Time, err error) { dead = err })
		begin := time.Now()
		for n := range uint16(10) {
			answer, _, err := line.exchange(tcpRead(1, n))
			require.NoError(t, err)
			require.Equal(t, n, binary.BigEndian.Uint16(answer[9:]))
		}
		require.Equal(t, 50*msec, time.Since(begin), "nobody waits for the dead unit")
		require.NoError(t, dead)
		for dead == nil {
			require.NoError(t, line.attend(time.Now().Add(time.Second)))
		}
		require.ErrorContains(t, dead, "no answer within 100ms")
		require.Equal(t, 100*msec, time.Since(begin))
		answer, _, err := line.exchange(tcpRead(9, 8))
		require.ErrorContains(t, err, "no answer", "the late one is of another transaction: %x", answer)
		require.NoError(t, line.attend(time.Now().Add(200*msec)))
		require.EqualValues(t, 1, l.foreignFrames)
	})
}

func TestMBAP_AWriteWaitsForTheUnitsOtherRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{answer: func(request []byte) []piece { return []piece{after(30*msec, tcpAnswer(request))} }}
		line, _ := newTCP(w, 4)
		polled := false
		line.post(tcpRead(1, 0), func([]byte, time.Time, error) { polled = true })
		_, _, err := line.exchange(tcpRead(1, 1))
		require.NoError(t, err)
		require.True(t, polled)
		require.Equal(t, 30*msec, w.times[1].Sub(w.times[0]))
	})
}
