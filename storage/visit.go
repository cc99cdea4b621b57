package storage

import (
	"database/sql/driver"
	"fmt"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// Load implements session.Spool.
func (s *Spool) Load(v session.Visitor) error {
	s.readMu.Lock()
	defer s.readMu.Unlock()
	c, err := dial(s.file, s.crashSafe)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.file, err)
	}
	defer c.close()
	if v.Next != nil {
		s.mu.Lock()
		v.Next(s.next)
		s.mu.Unlock()
	}
	for _, load := range []func(*conn, session.Visitor) error{loadSessions, s.loadSubscriptions, loadQoS2, s.loadRetained} {
		if err := load(c, v); err != nil {
			return fmt.Errorf("read %s: %w", s.file, err)
		}
	}
	return nil
}

func loadSessions(c *conn, v session.Visitor) error {
	if v.Session == nil {
		return nil
	}
	return c.query("SELECT id, client, meta FROM session ORDER BY id", 3, func(row []driver.Value) error {
		v.Session(session.Record{ID: sessionOf(row[0]), ClientID: asString(row[1]), Meta: asBytes(row[2])})
		return nil
	})
}

func (s *Spool) loadSubscriptions(c *conn, v session.Visitor) error {
	if v.Subscription == nil {
		return nil
	}
	return c.query("SELECT session, filter, opts FROM sub JOIN session ON session.id = sub.session ORDER BY session, filter", 3, func(row []driver.Value) error {
		sub, err := decodeOptions(asString(row[1]), asBytes(row[2]))
		if err != nil {
			s.log.Error("subscription lost", "session", asInt(row[0]), "err", err)
			s.alarms.Raise("spool", LostSubscriptions, "stored subscriptions could not be read and were left out; the disk may be failing")
			return nil
		}
		v.Subscription(sessionOf(row[0]), sub)
		return nil
	})
}

func loadQoS2(c *conn, v session.Visitor) error {
	if v.Received != nil {
		err := c.query("SELECT session, pid FROM q2in JOIN session ON session.id = q2in.session ORDER BY session, pid", 2, func(row []driver.Value) error {
			v.Received(sessionOf(row[0]), uint16(asInt(row[1])))
			return nil
		})
		if err != nil {
			return err
		}
	}
	if v.Released == nil {
		return nil
	}
	return c.query("SELECT q2out.session, q2out.id FROM q2out JOIN session ON session.id = q2out.session ORDER BY 1, 2", 2, func(row []driver.Value) error {
		v.Released(sessionOf(row[0]), mqtt.MsgID(asInt(row[1])))
		return nil
	})
}

func (s *Spool) loadRetained(c *conn, v session.Visitor) error {
	if v.Retained == nil {
		return nil
	}
	return c.query("SELECT topic, body FROM retained", 2, func(row []driver.Value) error {
		body, err := decodeRetained(asBytes(row[1]))
		m := body.message
		if err == nil && m.Topic != asString(row[0]) {
			err = fmt.Errorf("%w: it is of another topic", errDamaged)
		}
		if err != nil {
			s.log.Error("retained message lost", "topic", asString(row[0]), "err", err)
			s.alarms.Raise("spool", LostMessages, "retained messages could not be read and were left out; the disk may be failing")
			return nil
		}
		s.tellTime(body)
		v.Retained(m)
		return nil
	})
}
