package session

// Received is the set of incoming QoS 2 packet identifiers that wait for their
// PUBREL: a PUBLISH with one of them is no new message [v3.1.1 MQTT-4.3.3-2].
// Its zero value is empty.
type Received struct {
	ids map[uint16]bool // true when the message is safe and PUBREC was due
}

// Add notes that a message came with the packet identifier. fresh is false when
// it had come before; then answer tells whether that one is safe, so that PUBREC
// may be sent again.
func (r *Received) Add(pid uint16) (fresh, answer bool) {
	safe, known := r.ids[pid]
	if known {
		return false, safe
	}
	if r.ids == nil {
		r.ids = map[uint16]bool{}
	}
	r.ids[pid] = false
	return true, false
}

// Safe notes that the message of the packet identifier is safe; false when it was forgotten meanwhile.
func (r *Received) Safe(pid uint16) bool {
	if _, known := r.ids[pid]; !known {
		return false
	}
	r.ids[pid] = true
	return true
}

// Restore notes a packet identifier that the spool knows.
func (r *Received) Restore(pid uint16) {
	r.Add(pid)
	r.ids[pid] = true
}

// Forget removes the packet identifier: PUBREL came, or the message was refused.
// It is false when the packet identifier was not there.
func (r *Received) Forget(pid uint16) bool {
	_, known := r.ids[pid]
	delete(r.ids, pid)
	if len(r.ids) == 0 {
		r.ids = nil
	}
	return known
}

// Len tells how many packet identifiers wait.
func (r *Received) Len() int { return len(r.ids) }
