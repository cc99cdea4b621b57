package broker

import (
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// puback ends a QoS 1 delivery; false when there is none with this packet identifier.
func (cl *client) puback(w *batch, pid uint16) bool {
	return cl.finish(w, pid, func(f session.Flight) bool { return f.QoS == mqtt.AtLeastOnce })
}

// pubcomp ends a QoS 2 delivery.
func (cl *client) pubcomp(w *batch, pid uint16) bool {
	return cl.finish(w, pid, func(f session.Flight) bool { return f.Stage == session.Released })
}

// completedSafe frees the packet identifier of a completed QoS 2 delivery, and lets the session look for
// one that waited for it. It runs on the spool's goroutine.
func (cl *client) completedSafe(pid uint16, err error) {
	if err != nil {
		return // the spool closes
	}
	cl.mu.Lock()
	cl.window.Finish(pid)
	waits := cl.cursor < cl.newest || cl.backlog
	cl.mu.Unlock()
	if waits {
		cl.b.late.pull(cl)
	}
}

// refused ends a QoS 2 delivery that the client does not want [v5 MQTT-4.8.2-6]:
// it frees the window [v5 4.9] and goes to nobody else.
func (cl *client) refused(w *batch, pid uint16) bool {
	return cl.finish(w, pid, func(f session.Flight) bool { return f.QoS == mqtt.ExactlyOnce && f.Stage == session.Sent })
}

// finish takes a delivery out of flight and makes room for the next.
func (cl *client) finish(w *batch, pid uint16, ends func(session.Flight) bool) bool {
	cl.mu.Lock()
	f, flies := cl.window.Find(pid)
	if !flies || !ends(f) {
		cl.mu.Unlock()
		return false
	}
	delete(cl.flown, f.ID)
	if f.ID > cl.cursor && cl.isDurable() {
		if cl.ended == nil {
			cl.ended = map[mqtt.MsgID]struct{}{}
		}
		cl.ended[f.ID] = struct{}{}
	}
	completes := cl.isDurable() && f.QoS == mqtt.ExactlyOnce
	if completes {
		cl.window.Complete(pid)
	} else {
		cl.window.Finish(pid)
	}
	if !cl.isDurable() {
		cl.drainQueue(w)
	} else if cl.cursor < cl.newest || cl.backlog {
		cl.markPull(w)
	}
	cl.mu.Unlock()
	switch {
	case completes:
		change := session.Change{Session: cl.sid, Completed: []mqtt.MsgID{f.ID}}
		cl.b.spool.Apply(change, func(err error) { cl.completedSafe(pid, err) })
	case cl.isDurable():
		cl.b.spool.Acked(cl.sid, f.ID)
	}
	return true
}

// pubrec goes on with a QoS 2 delivery. release tells that PUBREL may be sent at
// once; else, when the delivery is one of ours, it follows the commit.
func (cl *client) pubrec(c *conn, pid uint16) (known, release bool) {
	cl.mu.Lock()
	f, flies := cl.window.Find(pid)
	switch {
	case !flies || f.QoS != mqtt.ExactlyOnce || f.Stage == session.Completed:
		cl.mu.Unlock()
		return false, false
	case f.Stage == session.Releasing:
		cl.mu.Unlock()
		return true, false
	case f.Stage == session.Released || !cl.isDurable():
		cl.window.Move(pid, session.Sent, session.Released)
		cl.mu.Unlock()
		return true, true
	}
	cl.window.Move(pid, session.Sent, session.Releasing)
	cl.mu.Unlock()
	safe := c.answerLater(answer{kind: packet.PUBREL, pid: pid})
	cl.b.spool.Apply(session.Change{Session: cl.sid, Released: []mqtt.MsgID{f.ID}}, safe)
	return true, false
}

// releasedSafe notes that a PUBREC is committed, or can't be, and gives the
// connection that PUBREL is to be sent on.
func (cl *client) releasedSafe(pid uint16, err error) *conn {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	to := session.Released
	if err != nil {
		to = session.Sent
	}
	if !cl.window.Move(pid, session.Releasing, to) {
		return nil
	}
	return cl.conn
}

// receivedSafe notes that an incoming QoS 2 message is safe, or can't be, and
// gives the connection that PUBREC is to be sent on.
func (cl *client) receivedSafe(pid uint16, err error) *conn {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if err != nil {
		cl.received.Forget(pid)
		return cl.conn
	}
	cl.received.Safe(pid)
	return cl.conn
}
