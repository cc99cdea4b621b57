package broker

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// How many wrong passwords are taken. A name at an address has its own count, so
// that one device with an old password, trying again for ever, does not lock out
// the others behind the same address; the address's own count bounds who tries many names.
const (
	nameFailures    = 5                // of a name at an address, at once
	nameRefill      = 30 * time.Second // until one more is taken
	addressFailures = 50               // of all names at an address, at once
	addressRefill   = time.Second
)

const (
	throttledAddresses = 4096 // that are remembered
	throttledNames     = 64   // of one address; further names share one count
)

// throttle counts wrong passwords per address. Its zero value is ready; all methods
// may be called at the same time. This machine's own addresses are not counted.
type throttle struct {
	mu    sync.Mutex
	seed  maphash.Seed
	found map[netip.Addr]*failures
}

// failures is what one address has done.
type failures struct {
	all   debt
	names map[uint64]debt // by the hash of the name
	rest  debt            // of names for which there is no room
	last  time.Time
}

// debt is a number of failures that shrinks with time.
type debt struct {
	count float64
	at    time.Time
}

// now gives the count as it is now.
func (d *debt) now(t time.Time, refill time.Duration) float64 {
	return max(0, d.count-float64(t.Sub(d.at))/float64(refill))
}

func (d *debt) add(t time.Time, refill time.Duration) {
	d.count, d.at = d.now(t, refill)+1, t
}

// look tells whether the name may be tried from the address at all, and whether a
// password may be hashed for it: one that is known to be right needs no hash.
func (t *throttle) look(from netip.Addr, name string, at time.Time) (mayTry, mayHash bool) {
	key := throttledAs(from)
	if !key.IsValid() {
		return true, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.found[key]
	if f == nil {
		return true, true
	}
	mine, has := f.names[maphash.String(t.seed, name)]
	if !has && len(f.names) >= throttledNames {
		mine = f.rest
	}
	mayTry = mine.now(at, nameRefill) <= nameFailures-1
	return mayTry, mayTry && f.all.now(at, addressRefill) <= addressFailures-1
}

// failed counts a wrong password; hashed tells that it was looked at.
func (t *throttle) failed(from netip.Addr, name string, hashed bool, at time.Time) {
	key := throttledAs(from)
	if !key.IsValid() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.found[key]
	if f == nil {
		f = t.remember(key, at)
	}
	f.last = at
	f.add(maphash.String(t.seed, name), at)
	if hashed {
		f.all.add(at, addressRefill)
	}
}

// remember makes room for an address; mu is held.
func (t *throttle) remember(key netip.Addr, at time.Time) *failures {
	if t.found == nil {
		t.found, t.seed = map[netip.Addr]*failures{}, maphash.MakeSeed()
	}
	if len(t.found) >= throttledAddresses {
		t.forget(at)
	}
	f := &failures{names: map[uint64]debt{}}
	t.found[key] = f
	return f
}

// forget makes room: those who owe nothing go, else the one that has been quiet longest.
func (t *throttle) forget(at time.Time) {
	var quiet netip.Addr
	for key, f := range t.found {
		if at.Sub(f.last) > nameFailures*nameRefill+addressFailures*addressRefill {
			delete(t.found, key)
		} else if q := t.found[quiet]; q == nil || f.last.Before(q.last) {
			quiet = key
		}
	}
	if len(t.found) >= throttledAddresses {
		delete(t.found, quiet)
	}
}

// add counts a failure of a name.
func (f *failures) add(name uint64, at time.Time) {
	mine, has := f.names[name]
	if !has && len(f.names) >= throttledNames {
		for other, d := range f.names {
			if d.now(at, nameRefill) == 0 {
				delete(f.names, other)
			}
		}
		if len(f.names) >= throttledNames {
			f.rest.add(at, nameRefill)
			return
		}
	}
	mine.add(at, nameRefill)
	f.names[name] = mine
}

// throttledAs gives what is counted together with the address: an IPv6 network of
// 64 bits, which one host has for itself. The zero Addr is not counted.
func throttledAs(from netip.Addr) netip.Addr {
	if !from.IsValid() || from.IsLoopback() {
		return netip.Addr{}
	}
	ip := from.Unmap().WithZone("")
	if ip.Is6() && !ip.IsLinkLocalUnicast() {
		network, _ := ip.Prefix(64) // never fails with 64 bits
		return network.Addr()
	}
	return ip
}
