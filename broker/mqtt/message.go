// Package mqtt holds the words of MQTT that every part of fieldgate speaks:
// messages, qualities of service, reason codes, and the rules for topic names
// and topic filters. It must not know packets, sockets or sessions.
package mqtt

import "time"

// QoS is the quality of service of a message or a subscription: 0, 1 or 2.
type QoS byte

// The three qualities of service.
const (
	AtMostOnce  QoS = 0
	AtLeastOnce QoS = 1
	ExactlyOnce QoS = 2
)

// Version is the protocol level as it stands in CONNECT.
type Version byte

// The protocol levels that the broker speaks.
const (
	V31  Version = 3 // "MQIsdp"
	V311 Version = 4
	V5   Version = 5
)

// MsgID is a message's place in the spool. IDs start at 1 and rise in the order
// in which the broker accepted the messages, which is the order of delivery.
// 0 means that the spool has not seen the message (QoS 0).
type MsgID uint64

// PacketID is the packet identifier that a message with this ID has on every
// connection: 1 to 65535.
func (id MsgID) PacketID() uint16 { return uint16(1 + id%65535) }

// Message is one application message. Parts share it: once published it must
// not be changed.
type Message struct {
	ID       MsgID
	Topic    string // topic name
	Payload  []byte
	QoS      QoS           // as published
	Retain   bool          // the RETAIN flag as published
	Props    Properties    // nil for none
	Expiry   time.Duration // message expiry interval counted from Accepted, 0 for never
	Accepted time.Time     // when the broker accepted it
	Origin   string        // client identifier of the publisher, for no local; only stored with retained messages
	// Unanswered says that the publisher may not publish to the response topic itself, so that nobody should
	// in its name; not stored.
	Unanswered bool
}

// Delivery is a Message on its way to one subscriber.
type Delivery struct {
	Message         *Message
	PacketID        uint16 // 0 for QoS 0
	QoS             QoS    // the lower of the message's and the subscription's
	Retain          bool   // the RETAIN flag to send
	Dup             bool
	SubscriptionIDs []uint32 // v5 subscription identifiers of the matching subscriptions
}

// Subscription is one topic filter of a session with its options.
type Subscription struct {
	Filter            string // topic filter, with its $share/NAME/ when shared
	QoS               QoS    // the highest that the subscriber wants
	NoLocal           bool   // not to the client that published [v5 MQTT-3.8.3-3]
	RetainAsPublished bool   // keep the RETAIN flag
	RetainHandling    byte   // 0 send retained messages, 1 only to a new subscription, 2 never
	ID                uint32 // v5 subscription identifier, 0 for none
}

// Attachment asks the broker for an in-process session.
type Attachment struct {
	ClientID      string
	Subscriptions []Subscription // the whole set; those that a durable session had beyond it end
	Durable       bool           // keeps its queue while nobody is attached, and through restarts
	// Limits of the queue; 0 takes the broker's own.
	MaxMessages int64
	MaxBytes    int64
	MaxAge      time.Duration // how long a message may wait; 0 for any time
	Reject      bool          // when the queue of a durable session is full refuse new messages; else the oldest ones are dropped
}

// Usage is what a session's queue holds, messages in flight included.
type Usage struct {
	Messages int64     `json:"messages"`
	Bytes    int64     `json:"bytes"`
	Oldest   time.Time `json:"oldest,omitzero"` // when the oldest was accepted; zero for an empty queue

	// What the limits of the queue have cost since the start, in messages.
	Dropped  int64 `json:"dropped,omitzero"`  // the oldest ones, for new ones
	Refused  int64 `json:"refused,omitzero"`  // new ones
	Outdated int64 `json:"outdated,omitzero"` // those that waited longer than they may
}
