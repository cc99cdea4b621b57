package api

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxFailures    = 5
	failureWindow  = 15 * time.Minute
	maxThrottled   = 4096 // addresses that are remembered
	guessesForCode = 50   // failures with the setup code in a window, from all addresses together
)

// throttle counts failures per key in windows. Its zero value is ready; all methods may be called at the same time.
type throttle struct {
	mu   sync.Mutex
	seen map[string]failures
}

type failures struct {
	n     int
	since time.Time // of the first failure of the window
}

// try counts a failure in advance and gives 0 when the key may try now, else how
// long it must wait. A try that was right is taken back with undo.
func (t *throttle) try(key string, limit int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = map[string]failures{}
	}
	f, ok := t.seen[key]
	if !ok || time.Since(f.since) >= failureWindow {
		if !ok && len(t.seen) >= maxThrottled {
			t.forget()
		}
		f = failures{since: time.Now()}
	}
	if f.n >= limit {
		return failureWindow - time.Since(f.since)
	}
	f.n++
	t.seen[key] = f
	return 0
}

// undo takes a counted failure back. The others stay: who knows one password must not get more guesses at another.
func (t *throttle) undo(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.seen[key]
	if f.n--; f.n <= 0 {
		delete(t.seen, key)
		return
	}
	t.seen[key] = f
}

// forget makes room: windows that are over, else the oldest.
func (t *throttle) forget() {
	var oldest string
	for key, f := range t.seen {
		if time.Since(f.since) >= failureWindow {
			delete(t.seen, key)
			continue
		}
		if o, ok := t.seen[oldest]; !ok || f.since.Before(o.since) {
			oldest = key
		}
	}
	if len(t.seen) >= maxThrottled {
		delete(t.seen, oldest)
	}
}

// addressKey is whom a failure counts against: an IPv4 address, or the /64 that an IPv6 host has for itself.
func addressKey(remote string) string {
	ip, err := netip.ParseAddr(remote)
	if err != nil {
		return "local"
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() && !ip.IsLinkLocalUnicast() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
