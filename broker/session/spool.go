package session

import (
	"errors"
	"time"

	"fieldgate/broker/mqtt"
)

// ID names a session in the spool. The broker gives IDs out, rising from 1; one
// is never used again, so a late acknowledgement can't hit another session.
type ID uint32

// Spool keeps what persistent sessions are owed. All methods may be called at the
// same time; a callback runs on the spool's own goroutine, must not block, and
// must not call the spool back while it holds a lock that another caller of the
// spool holds.
//
// Order: what is appended or applied is committed in the order of the calls, so a
// crash leaves a beginning of it, and callbacks run in that order. One exception:
// the callback of an entry that all its sessions have acknowledged before it was
// committed runs as soon as those of all earlier changes and of all earlier
// entries of the same Publisher have run, and may so overtake other publishers.
//
// One implementation is storage, another, in memory, sessiontest; one conformance
// suite runs on both.
type Spool interface {
	// Append accepts one published message and gives it its ID; Page of the
	// sessions it is owed to finds it as soon as Append has returned (a QoS 2
	// delivery only once it is committed, see Page). safe, when not nil, runs
	// once: with nil when everything of the entry is committed, or when every session
	// that it is owed to has acknowledged it (then it may never be written, unless it
	// is retained or From is set), or with the error that makes it impossible.
	// The spool may put the commit off for a short time when all owed sessions are
	// Live and keep up, or when the entry is Unhurried. When the queue of an owed
	// session is full and refuses, nobody gets the entry: Append gives 0 and safe
	// ErrQueueFull. A Tentative entry is refused without a trace: 0, and safe does not
	// run; so it is by a closed spool.
	Append(e Entry, safe func(error)) mqtt.MsgID

	// Acked says that the session has got the message for good (PUBACK; for PUBCOMP see Change.Completed).
	// It reaches the disk with the next commit, within 1 s.
	Acked(s ID, id mqtt.MsgID)

	// Page gives what the session is owed after the given ID, in the order of the
	// IDs, released deliveries included until they are Acked; a reader that goes on
	// after the last ID it got misses nothing, whoever appends meanwhile. It gives at
	// most maxMessages, and at most maxBytes of payload unless the first alone is
	// larger. It stops before a QoS 2 delivery whose message is not committed yet:
	// a QoS 2 packet identifier that a subscriber has seen must survive a crash
	// with the same message, or the next message would be taken for a duplicate.
	Page(s ID, after mqtt.MsgID, maxMessages, maxBytes int) ([]Queued, error)

	// Apply commits a change of session state. safe is as for Append.
	Apply(c Change, safe func(error))

	// Load reports all that is stored; the broker calls it once, before anything else.
	Load(v Visitor) error

	// SetLimits bounds what the session may be owed from now on. It is not stored,
	// and may be called before the session's Put; End takes the limits along.
	SetLimits(s ID, l Limits)

	// Usage tells what the session is owed now. It costs little, whatever is stored; so Oldest may be some
	// minutes too early.
	Usage(s ID) mqtt.Usage

	// Losses tells what limits have cost all sessions since the spool was opened,
	// those that have ended included.
	Losses() Losses
}

// Losses counts messages that limits took from queues, one count for each queue.
type Losses struct {
	Dropped  int64 // the oldest ones, to make room, and those larger than their queue
	Refused  int64 // new ones that no queue got, because one was full
	Outdated int64 // those that became older than they may
}

// ErrQueueFull says that a session that the message is owed to is owed as much as
// its limits allow, and refuses more.
var ErrQueueFull = errors.New("the queue of a session is full")

// Limits bound what one session is owed. A message beyond them makes the oldest
// ones go, or is refused.
type Limits struct {
	Messages int64 // 0 for any number
	Bytes    int64 // of payload; 0 for any number
	// Age is how long a message may wait; 0 for any time. Older ones go, a little
	// late rather than too early, Reject or not.
	Age    time.Duration
	Reject bool // refuse new messages; else the oldest ones are dropped
}

// Entry is all that one accepted message asks of the spool, in one commit.
type Entry struct {
	Message *mqtt.Message // the spool sets its ID
	Owed    []Owed        // the persistent sessions that it is owed to; may be empty

	// Retain replaces the retained message of the topic; an empty payload removes it.
	Retain bool

	// From and PacketID of a QoS 2 message from a persistent session: remembered
	// with the message, so that a PUBLISH that comes again is not a second message.
	// From is 0 otherwise.
	From     ID
	PacketID uint16

	// Publisher names who waits for safe, to keep the order of what it waits for;
	// 0 for somebody to whom the order does not matter.
	Publisher uint64
	Unhurried bool // nobody waits for safe
	Tentative bool // whoever publishes it will try again when a queue is full
}

// Owed is one session that a message is owed to, and how it is to be delivered.
type Owed struct {
	Session         ID
	QoS             mqtt.QoS // 0 only when QoS 0 is to be kept for a session that is offline
	Retain          bool     // the RETAIN flag to send
	SubscriptionIDs []uint32
	Live            bool // the session is online, so an acknowledgement may come soon; it is not stored
}

// Queued is one message as it is owed to one session.
type Queued struct {
	Message         *mqtt.Message
	QoS             mqtt.QoS
	Retain          bool
	SubscriptionIDs []uint32
}

// Change is a change of session state; its parts that are set are committed together.
type Change struct {
	Session ID // whom it concerns

	Put         *Record             // the session is new, or its record changed
	End         bool                // the session with all that it owns and is owed goes
	Subscribe   []mqtt.Subscription // added, or replaced by their filter
	Unsubscribe []string            // filters

	Released []mqtt.MsgID // PUBREC came for these deliveries: PUBREL may be sent once this is safe
	// Completed is as Acked for QoS 2 deliveries that were released (PUBCOMP came). A packet identifier may be
	// used again only once this is safe: after a crash its PUBREL would be taken for that of the next message.
	Completed []mqtt.MsgID
	// Unhurried changes wait up to a second for a commit to go with: nobody waits for them, so they have no callback.
	Unhurried bool
	Forget    []uint16 // PUBREL came for these incoming QoS 2 packet identifiers: PUBCOMP may be sent once this is safe
}

// Record is what is stored of a session beside its queue and subscriptions.
type Record struct {
	ID       ID
	ClientID string
	Meta     []byte // encoded by this package; opaque to the spool
}

// Visitor gets what is stored. A nil function skips its kind. Sessions come
// before what belongs to them.
type Visitor struct {
	Next         func(mqtt.MsgID) // all IDs below were given out before the spool was opened
	Session      func(Record)
	Subscription func(ID, mqtt.Subscription)
	Received     func(ID, uint16)     // incoming QoS 2 packet identifier that waits for its PUBREL
	Released     func(ID, mqtt.MsgID) // outgoing QoS 2 message whose PUBREL was due
	Retained     func(*mqtt.Message)
}
