// Package access decides which topics a client may read and write. It is pure
// data: rules go in, decisions come out. It must not know connections, accounts'
// passwords or where rules are kept.
package access

import (
	"fieldgate/broker/mqtt"
)

// Action is what a client does with a topic.
type Action string

// The actions.
const (
	Read  Action = "read"  // messages of the topic go to the client
	Write Action = "write" // the client publishes to the topic, by PUBLISH or by its will
)

// verbs is a set of actions.
type verbs uint8

const (
	reads verbs = 1 << iota
	writes
)

func (a Action) verb() verbs {
	switch a {
	case Read:
		return reads
	case Write:
		return writes
	}
	return 0
}

// Default says what holds for a topic that no rule speaks of.
type Default string

// The defaults.
const (
	DenyWithRules Default = ""      // allowed while there is no rule at all, denied otherwise
	Allow         Default = "allow" // allowed
	Deny          Default = "deny"  // denied, also while there is no rule
)

// Client is who asks.
type Client struct {
	User string // user name; empty for an anonymous client
	ID   string // client identifier
}

// Policy is a set of rules, ready for use. It does not change, so all methods may
// be called at the same time. A nil Policy lets everybody do everything.
type Policy struct {
	everybody []line            // rules for everybody, without placeholders
	accounts  map[string][]line // and those of an account behind them
	names     []line            // rules with placeholders, of everybody and of accounts
	fallback  verbs             // what may be done where no rule speaks
}

// line is what one rule comes to for a client.
type line struct {
	id          string
	account     string // with a placeholder only; empty for everybody
	filter      string
	allow, deny verbs
}

// New makes a policy of rules that passed Validate; others are left out. It gives
// nil when everybody may do everything.
func New(rules []Rule, d Default) *Policy {
	p := &Policy{accounts: map[string][]line{}}
	if d == Allow || d == DenyWithRules && len(rules) == 0 {
		p.fallback = reads | writes
	}
	if len(rules) == 0 && p.fallback != 0 {
		return nil
	}
	own := map[string][]line{}
	for _, r := range rules {
		if r.Validate() != nil {
			continue
		}
		l := line{id: r.ID, account: r.Account, filter: r.Filter, allow: set(r.Allow), deny: set(r.Deny)}
		switch {
		case hasPlaceholder(r.Filter):
			p.names = append(p.names, l)
		case r.Account == "":
			p.everybody = append(p.everybody, l.plain())
		default:
			own[r.Account] = append(own[r.Account], l.plain())
		}
	}
	for account, lines := range own {
		p.accounts[account] = append(lines, p.everybody...)
	}
	return p
}

func set(actions []Action) verbs {
	var v verbs
	for _, a := range actions {
		v |= a.verb()
	}
	return v
}

// plain gives a line without a placeholder as it is compared: %% stands for one %.
func (l line) plain() line {
	l.filter, _ = substitute(l.filter, Client{})
	return l
}

// Rights gives what the client may do; nil when that is everything.
func (p *Policy) Rights(c Client) *Rights {
	if p == nil {
		return nil
	}
	r := &Rights{shared: p.everybody, fallback: p.fallback}
	if lines, has := p.accounts[c.User]; has && c.User != "" {
		r.shared = lines
	}
	for _, l := range p.names {
		if l.account != "" && l.account != c.User {
			continue
		}
		filter, ok := substitute(l.filter, c)
		if !ok {
			// The client's name would make another filter of it: nothing is allowed by that,
			// and what any name could make of it stays denied.
			l.allow = 0
		}
		l.filter = filter
		r.own = append(r.own, l)
	}
	return r
}

// Rights is what one client may do. It does not change, so all methods may be
// called at the same time. Nil means everything: a part of the gateway itself.
type Rights struct {
	shared   []line // with other clients
	own      []line // made of the client's names
	fallback verbs
}

// May tells whether the client may do that with the topic name. It looks at every
// rule; see Cache for the hot path.
func (r *Rights) May(a Action, topic string) bool {
	return r == nil || r.verbs(topic)&a.verb() != 0
}

// verbs gives all that the client may do with the topic.
func (r *Rights) verbs(topic string) verbs {
	var allow, deny verbs
	for _, lines := range [2][]line{r.shared, r.own} {
		for i := range lines {
			if l := &lines[i]; mqtt.Match(l.filter, topic) {
				allow |= l.allow
				deny |= l.deny
			}
		}
	}
	return (allow | r.fallback) &^ deny
}

// MaySubscribe tells whether a subscription to the topic filter (for a shared one:
// the filter inside) could bring anything: some topic that it matches may be read.
// What of it may not be read is held back later, message by message. Several rules
// that only together deny all of it are not seen.
func (r *Rights) MaySubscribe(filter string) bool {
	if r == nil {
		return true
	}
	allowed, _ := r.subscription(filter)
	return allowed
}

// subscription is MaySubscribe with the rule that decides, "" for the default.
func (r *Rights) subscription(filter string) (allowed bool, rule string) {
	if by := r.denies(filter); by != nil {
		return false, by.id
	}
	if r.fallback&reads != 0 {
		return true, ""
	}
	for _, lines := range [2][]line{r.shared, r.own} {
		for _, l := range lines {
			if l.allow&reads == 0 {
				continue
			}
			common, some := intersect(l.filter, filter)
			if !some {
				continue
			}
			if by := r.denies(common); by == nil {
				return true, l.id
			} else if rule == "" {
				rule = by.id
			}
		}
	}
	return false, rule
}

// denies gives a rule that denies reading of all that the filter matches, nil when there is none.
func (r *Rights) denies(filter string) *line {
	for _, lines := range [2][]line{r.shared, r.own} {
		for i := range lines {
			if l := &lines[i]; l.deny&reads != 0 && covers(l.filter, filter) {
				return l
			}
		}
	}
	return nil
}
