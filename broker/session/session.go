// Package session is the state of one MQTT session: inflight messages, packet
// identifiers, the window onto its queue, QoS 2 states, and the Spool interface
// through which it is kept. It has no socket, no SQL and no goroutine: methods
// change state and say what is to be sent and stored.
package session
