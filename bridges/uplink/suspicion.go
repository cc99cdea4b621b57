package uplink

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"fieldgate/broker/mqtt"
)

const (
	// carefulAfter is how many connections in a row the cloud must have closed without an acknowledgement
	// before the next one sends a single message first.
	carefulAfter = 2
	// maxStrikes is how many of those it must close directly upon the same message for that to be set aside.
	maxStrikes = 3
	directly   = 10 * time.Second
	// maxRefusals is how often a 5.0 cloud may say "not now" to one message for no reason that passes.
	maxRefusals = 8
)

// suspicion finds the message upon which a cloud closes the connection, which is all that a 3.1.1 cloud can do
// about one that it does not take. Only Run's goroutine uses it.
type suspicion struct {
	fruitless int        // connections in a row that the cloud closed without an acknowledgement, though it owed one
	suspect   mqtt.MsgID // what the last of them had sent alone
	strikes   int        // connections that were closed directly upon it
}

func (s *suspicion) careful() bool { return s.fruitless >= carefulAfter }

// closed judges the end of a connection. It gives the message that is to be set aside, 0 for none.
func (s *suspicion) closed(l *link, err error) mqtt.MsgID {
	sent, first := l.window.outstanding()
	switch {
	case l.acked.Load():
		*s = suspicion{}
		return 0
	case sent == 0 || !closedByCloud(err):
		return 0
	}
	alone := s.careful() && sent == 1 && time.Since(l.began)-time.Duration(l.sentAt.Load()) < directly
	s.fruitless++
	if !alone {
		return 0
	}
	if s.suspect != first {
		s.suspect, s.strikes = first, 0
	}
	if s.strikes++; s.strikes < maxStrikes {
		return 0
	}
	*s = suspicion{}
	return first
}

// closedByCloud tells that the far side ended the connection, from a link that only broke.
func closedByCloud(err error) bool {
	if _, said := errors.AsType[*refused](err); said {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || websocket.CloseStatus(err) != -1
}

// complaints are what a person should know of a link that works. All methods may be called at the same time.
type complaints struct {
	mu     sync.Mutex
	denied string // the filter that the cloud lets us not subscribe to
	aside  int
	last   string // topic of the message that was set aside last
}

func (c *complaints) deny(filter string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied = filter
}

func (c *complaints) setAside(n int, topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aside, c.last = n, topic
}

// words gives them for a person, empty when there are none.
func (c *complaints) words() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	words := ""
	if c.denied != "" {
		words = "the broker does not let this client subscribe to " + c.denied
	}
	if c.aside > 0 {
		if words != "" {
			words += "; "
		}
		words += fmt.Sprintf("%d messages that the broker does not take are set aside, the last one of topic %.200q; they stay in the queue and are tried again when the uplink is started anew", c.aside, c.last)
	}
	return words
}
