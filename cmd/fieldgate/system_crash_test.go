package main_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
)

// kills is how often TestSystem_CrashLosesNothing kills the gateway.
const kills = 200

// flow is a publisher with the persistent session that it publishes to.
type flow struct {
	name    string
	pub     *publisher
	sub     *subscriber
	offline bool // the subscriber comes back at the end only, so every message is written
}

// TestSystem_CrashLosesNothing kills the gateway with SIGKILL at random moments, under load and while it starts:
// every acknowledged message reaches the persistent sessions in order, one of QoS 2 exactly once.
func TestSystem_CrashLosesNothing(t *testing.T) {
	b := newBox(t)
	b.start()
	flows := []*flow{
		{name: "QoS 1", pub: newPublisher(b.mqtt, "load/1", mqtt.AtLeastOnce), sub: newSubscriber(b.mqtt, "load/1", mqtt.AtLeastOnce)},
		{name: "QoS 2", pub: newPublisher(b.mqtt, "load/2", mqtt.ExactlyOnce), sub: newSubscriber(b.mqtt, "load/2", mqtt.ExactlyOnce)},
		{name: "QoS 1 to an offline session", offline: true, pub: newPublisher(b.mqtt, "load/3", mqtt.AtLeastOnce), sub: newSubscriber(b.mqtt, "load/3", mqtt.AtLeastOnce)},
	}
	for _, f := range flows {
		f.sub.start()
		<-f.sub.ready
		if f.offline {
			f.sub.close()
		} else {
			defer f.sub.close()
		}
		f.pub.start()
		defer f.pub.close()
	}
	var before [][]int // how many were acknowledged before each kill, by flow
	for kill := range kills {
		if kill%4 != 0 { // every fourth one comes while it starts
			had := acknowledged(flows)
			await(t, "the load runs again", func() bool {
				for i, n := range acknowledged(flows) {
					if n < had[i]+5 {
						return false
					}
				}
				return true
			})
		}
		time.Sleep(rand.N(50 * time.Millisecond))
		b.kill(syscall.SIGKILL)
		before = append(before, acknowledged(flows))
		if kill%4 == 3 {
			b.spawn()
		} else {
			b.start()
		}
	}
	awaitPort(t, b.mqtt)
	for i, f := range flows {
		if f.offline {
			f.sub.start()
			defer f.sub.close()
		}
		t.Run(f.name, func(t *testing.T) {
			f.pub.finish()
			await(t, "everything is acknowledged", f.pub.idle)
			f.judge(t, func(nth int) int {
				kill := 0
				for kill < len(before) && before[kill][i] <= nth {
					kill++
				}
				return kill
			})
		})
	}
}

func acknowledged(flows []*flow) []int {
	counts := make([]int, len(flows))
	for i, f := range flows {
		counts[i] = len(f.pub.acks())
	}
	return counts
}

// judge compares what arrived with what was acknowledged; killAfter tells which kill came after the n-th acknowledgement.
func (f *flow) judge(t *testing.T, killAfter func(nth int) int) {
	t.Helper()
	acks := f.pub.acks()
	last := slices.Max(acks)
	arrived := func() bool { return slices.Contains(f.sub.got(), last) }
	for deadline := time.Now().Add(patience); !arrived() && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	numbers := f.sub.got()
	first := firstOccurrences(numbers)
	came := map[int]struct{}{}
	for _, n := range first {
		came[n] = struct{}{}
	}
	var lost []string
	for nth, n := range acks {
		if _, found := came[n]; !found {
			lost = append(lost, fmt.Sprintf("message %d, acknowledged before kill %d", n, killAfter(nth)))
		}
		if len(lost) == 20 {
			break
		}
	}
	require.Empty(t, lost, "lost of %d acknowledged ones; the newest that came is %d\n%s", len(acks), slices.Max(append(numbers, -1)), f.sub.story([]int{last}))
	require.Empty(t, unsorted(first), "messages came out of order: each after a higher one")
	if f.pub.qos == mqtt.ExactlyOnce {
		require.Equal(t, len(first), len(numbers), "messages came twice: %v\n%s", repeated(numbers), f.sub.story(repeated(numbers)))
	}
	t.Logf("%d acknowledged, %d arrived, %d of them repeated", len(acks), len(first), len(numbers)-len(first))
}

// unsorted gives the numbers that stand behind a higher one, at most 20.
func unsorted(numbers []int) []int {
	var wrong []int
	highest := -1
	for _, n := range numbers {
		if n < highest && len(wrong) < 20 {
			wrong = append(wrong, n)
		}
		highest = max(highest, n)
	}
	return wrong
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
