package access

import (
	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// Question asks whether a client could do something.
type Question struct {
	Client
	Action Action // Read or Write
	Topic  string // a topic name; with Read also a topic filter that is to be subscribed to
}

// Answer tells what would happen, and why.
type Answer struct {
	Allowed bool
	Rule    string // the ID of the rule that decides; empty when no rule speaks of it
}

// Explain answers a question by the rules alone: whether the client could connect
// is not asked. The error is a fault.List with pointers into the question.
func (p *Policy) Explain(q Question) (Answer, error) {
	var faults fault.List
	if q.Action.verb() == 0 {
		faults.Add("/action", fault.Invalid, "must be read or write")
	}
	isFilter, err := checkTopic(q)
	if err != nil {
		faults.Add("/topic", fault.Invalid, "%s", err)
	}
	if err := faults.Err(); err != nil {
		return Answer{}, err
	}
	r := p.Rights(q.Client)
	switch {
	case r == nil:
		return Answer{Allowed: true}, nil
	case isFilter:
		allowed, rule := r.subscription(q.Topic)
		return Answer{allowed, rule}, nil
	}
	return r.explain(q.Action.verb(), q.Topic), nil
}

// checkTopic tells whether the topic is a filter that matches more than one name.
func checkTopic(q Question) (isFilter bool, err error) {
	err = mqtt.CheckName(q.Topic)
	if err == nil || q.Action == Write {
		return false, err
	}
	return true, mqtt.CheckFilter(q.Topic)
}

func (r *Rights) explain(v verbs, topic string) Answer {
	answer := Answer{Allowed: r.fallback&v != 0}
	for _, lines := range [2][]line{r.shared, r.own} {
		for _, l := range lines {
			if !mqtt.Match(l.filter, topic) {
				continue
			}
			if l.deny&v != 0 {
				return Answer{false, l.id}
			}
			if l.allow&v != 0 && answer.Rule == "" {
				answer = Answer{true, l.id}
			}
		}
	}
	return answer
}
