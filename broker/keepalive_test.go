package broker_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session/sessiontest"
)

// TestKeepAlive_ClosesWithin200msOfOneAndAHalf lets many clients fall silent at many moments, beside ones that stay.
func TestKeepAlive_ClosesWithin200msOfOneAndAHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := start(t, spool, nil)
		random := rand.New(rand.NewPCG(1, 2))
		type outcome struct {
			keepAlive, silence time.Duration
		}
		const clients = 200
		ends := make(chan outcome, clients)
		for n := range clients {
			keepAlive := time.Duration(1+random.IntN(90)) * time.Second
			pings, gap := random.IntN(4), time.Duration(random.Int64N(int64(keepAlive*3/2)-int64(time.Millisecond)))
			lag := time.Duration(random.Int64N(int64(time.Second)))
			go func() {
				time.Sleep(lag)
				here, there := net.Pipe()
				b.ServeConn(there)
				connect := packet.Connect{Version: mqtt.V311, ClientID: fmt.Sprint("c", n), CleanStart: true, KeepAlive: uint16(keepAlive / time.Second)}
				_, _ = here.Write(connect.Append(nil)) // a failure shows as a wrong time
				last := time.Now()
				heard := make(chan struct{})
				go func() {
					_, _ = io.Copy(io.Discard, here) // ends when the broker closes
					close(heard)
				}()
				for range pings {
					time.Sleep(gap)
					_, _ = here.Write(packet.AppendPingreq(nil))
					last = time.Now()
				}
				_, _ = here.Write([]byte{byte(packet.PUBLISH) << 4, 100}) // half a packet does not count
				<-heard
				ends <- outcome{keepAlive, time.Since(last)}
				_ = here.Close()
			}()
		}
		for range clients {
			o := <-ends
			late := o.silence - o.keepAlive*3/2
			require.GreaterOrEqual(t, late, time.Duration(0), "keep alive %v", o.keepAlive)
			require.LessOrEqual(t, late, 200*time.Millisecond, "keep alive %v", o.keepAlive)
		}
	})
}

// TestKeepAlive_DoesNotBlameAClientForASlowDisk holds the commit that CONNECT waits for: the client's time begins after it.
func TestKeepAlive_DoesNotBlameAClientForASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := start(t, spool, nil)
		spool.Hold()
		here, there := net.Pipe()
		defer here.Close()
		b.ServeConn(there)
		connect := packet.Connect{Version: mqtt.V311, ClientID: "c", KeepAlive: 2}
		_, err := here.Write(connect.Append(nil))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		spool.Release()
		answered := time.Now()
		_, err = io.ReadFull(here, make([]byte, 4))
		require.NoError(t, err)
		time.Sleep(2900 * time.Millisecond)
		_, err = here.Write(packet.AppendPingreq(nil))
		require.NoError(t, err)
		_, err = io.ReadFull(here, make([]byte, 2))
		require.NoError(t, err)
		_, err = here.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.InDelta(t, 5.9, time.Since(answered).Seconds(), 0.2)
	})
}
