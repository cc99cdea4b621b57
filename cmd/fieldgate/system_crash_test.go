package main_test

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
)

// TestSystem_CrashLosesNothing kills the gateway with SIGKILL at ten random moments under load: every
// acknowledged message reaches the persistent sessions in order, one of QoS 2 exactly once.
func TestSystem_CrashLosesNothing(t *testing.T) {
	b := newBox(t)
	b.start()
	type flow struct {
		name string
		pub  *publisher
		sub  *subscriber
	}
	flows := []flow{
		{"QoS 1", newPublisher(b.mqtt, "load/1", mqtt.AtLeastOnce), newSubscriber(b.mqtt, "load/1", mqtt.AtLeastOnce)},
		{"QoS 2", newPublisher(b.mqtt, "load/2", mqtt.ExactlyOnce), newSubscriber(b.mqtt, "load/2", mqtt.ExactlyOnce)},
	}
	for _, f := range flows {
		f.sub.start()
		defer f.sub.close()
		<-f.sub.ready
		f.pub.start()
		defer f.pub.close()
	}
	for kill := range 10 {
		had := [2]int{len(flows[0].pub.acks()), len(flows[1].pub.acks())}
		await(t, "the load runs again", func() bool {
			return len(flows[0].pub.acks()) > had[0]+100 && len(flows[1].pub.acks()) > had[1]+100
		})
		pause := rand.N(300 * time.Millisecond)
		time.Sleep(pause)
		b.kill(syscall.SIGKILL)
		t.Logf("kill %d after %v with %d and %d messages acknowledged", kill, pause, len(flows[0].pub.acks()), len(flows[1].pub.acks()))
		b.start()
	}
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			f.pub.finish()
			await(t, "everything is acknowledged", f.pub.idle)
			acknowledged := f.pub.acks()
			last := slices.Max(acknowledged)
			arrived := func() bool { return slices.Contains(f.sub.got(), last) }
			for deadline := time.Now().Add(patience); !arrived() && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			}
			numbers := f.sub.got()
			require.True(t, arrived(), "message %d did not arrive; the newest is %d\n%s", last, slices.Max(numbers), f.sub.story([]int{last, slices.Max(numbers)}))
			first := firstOccurrences(numbers)
			require.True(t, slices.IsSorted(first), "messages came out of order")
			if f.pub.qos == mqtt.ExactlyOnce {
				require.Equal(t, len(first), len(numbers), "messages came twice: %v\n%s", repeated(numbers), f.sub.story(repeated(numbers)))
			}
			for _, n := range acknowledged {
				_, found := slices.BinarySearch(first, n)
				require.True(t, found, "message %d was acknowledged and is lost", n)
			}
			t.Logf("%d acknowledged, %d arrived, %d of them repeated", len(acknowledged), len(first), len(numbers)-len(first))
		})
	}
}

func firstOccurrences(numbers []int) []int {
	seen := map[int]bool{}
	var first []int
	for _, n := range numbers {
		if !seen[n] {
			seen[n] = true
			first = append(first, n)
		}
	}
	return first
}

func repeated(numbers []int) []int {
	seen := map[int]bool{}
	var again []int
	for _, n := range numbers {
		if seen[n] {
			again = append(again, n)
		}
		seen[n] = true
	}
	return again
}
