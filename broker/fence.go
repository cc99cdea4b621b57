package broker

import (
	"slices"
	"sync"
	"time"
)

// fencePatience is how long a new subscription waits for retained messages that are
// being distributed. It takes microseconds, but for a disk that takes nothing, which
// must not keep anybody from subscribing.
const fencePatience = time.Second

// fence lets a new subscription wait for the retained messages that were distributed
// without it and are not in the index yet: it would miss them otherwise, as live ones
// and as retained ones. All methods may be called at the same time.
type fence struct {
	mu    sync.Mutex
	under []*passage
}

// passage is one retained message on its way from the subscriptions to the index.
type passage struct {
	done chan struct{} // made by the first who waits
}

func (f *fence) enter(p *passage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.under = append(f.under, p)
}

func (f *fence) leave(p *passage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.under, p)
	f.under = slices.Delete(f.under, i, i+1)
	if p.done != nil {
		close(p.done)
		p.done = nil
	}
}

// wait returns when all have left that entered before.
func (f *fence) wait() {
	waits := f.underWay()
	if len(waits) == 0 {
		return
	}
	patience := time.NewTimer(fencePatience)
	defer patience.Stop()
	for _, done := range waits {
		select {
		case <-done:
		case <-patience.C:
			return
		}
	}
}

func (f *fence) underWay() (waits []chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.under {
		if p.done == nil {
			p.done = make(chan struct{})
		}
		waits = append(waits, p.done)
	}
	return waits
}
