package access

import (
	"errors"
	"fmt"
	"strings"

	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// Limits of a rule.
const (
	maxName   = 256  // bytes of an account's name
	maxFilter = 1024 // bytes of a topic filter
	maxLevels = 128  // of a topic filter
)

// Rule allows or denies topics to an account or to everybody. Where several rules
// match, deny wins; their order does not count.
type Rule struct {
	ID      string   `json:"id"`
	Account string   `json:"account,omitempty"` // user name; empty for everybody, anonymous clients too
	Filter  string   `json:"filter"`            // topic filter; %u stands for the user name, %c for the client identifier, %% for %
	Allow   []Action `json:"allow,omitempty"`
	Deny    []Action `json:"deny,omitempty"`
}

// Validate tells what is wrong with the rule, with JSON pointers into it; nil when
// nothing is. Whether its ID is unique is for the caller to see.
func (r Rule) Validate() fault.List {
	var faults fault.List
	if len(r.Account) > maxName || strings.ContainsFunc(r.Account, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0xfffd }) {
		faults.Add("/account", fault.Invalid, "must have at most %d bytes and no control characters", maxName)
	}
	if err := checkFilter(r.Filter); err != nil {
		code := fault.Invalid
		if r.Filter == "" {
			code = fault.Required
		}
		faults.Add("/filter", code, "%s", err)
	}
	known := checkActions(&faults, "/allow", r.Allow) && checkActions(&faults, "/deny", r.Deny)
	switch {
	case !known:
	case len(r.Allow)+len(r.Deny) == 0:
		faults.Add("/allow", fault.Required, "a rule must allow or deny something: [read], [write] or [read, write]")
	default:
		for i, a := range r.Deny {
			if set(r.Allow)&a.verb() != 0 {
				faults.Add(fmt.Sprintf("/deny/%d", i), fault.Conflict, "%s is allowed by the same rule", a)
			}
		}
	}
	return faults
}

func checkActions(faults *fault.List, at string, actions []Action) bool {
	known := true
	for i, a := range actions {
		if a.verb() == 0 {
			faults.Add(fmt.Sprintf("%s/%d", at, i), fault.Invalid, "must be read or write")
			known = false
		}
	}
	return known
}

// checkFilter says what is wrong with the topic filter of a rule.
func checkFilter(filter string) error {
	switch {
	case filter == "":
		return errors.New("is needed: a topic filter such as site/%u/#")
	case len(filter) > maxFilter:
		return fmt.Errorf("must have at most %d bytes", maxFilter)
	case strings.HasPrefix(filter, "$share/"):
		return errors.New("must be the filter behind $share/NAME/: rules are about topics")
	case strings.Count(filter, "/") >= maxLevels:
		return fmt.Errorf("must have at most %d levels", maxLevels)
	}
	for rest := filter; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			break
		}
		if after == "" || !strings.ContainsRune("uc%", rune(after[0])) {
			return errors.New("must have % only in %u (user name), %c (client identifier) and %%")
		}
		rest = after[1:]
	}
	if err := mqtt.CheckFilter(filter); err != nil {
		return err
	}
	return nil
}

// hasPlaceholder tells whether a filter that was checked has %u or %c.
func hasPlaceholder(filter string) bool {
	bare := strings.ReplaceAll(filter, "%%", "")
	return strings.Contains(bare, "%")
}

// substitute puts the client's names into a filter that was checked. ok is false
// when a name would make another filter of it: one that is missing, that has a
// level separator or a wildcard, or that makes the filter begin with $. The result
// is then the filter of all that any name in its place could make of it.
func substitute(filter string, c Client) (result string, ok bool) {
	if !strings.Contains(filter, "%") {
		return filter, true
	}
	var b strings.Builder
	for i := 0; i < len(filter); i++ {
		if filter[i] == '%' && i+1 < len(filter) {
			i++
			name := c.User
			switch filter[i] {
			case 'c':
				name = c.ID
			case '%':
				name = "%"
			}
			if name == "" || strings.ContainsAny(name, "/+#") || b.Len() == 0 && name[0] == '$' {
				level := strings.LastIndexByte(b.String(), '/') + 1
				return b.String()[:level] + "#", false
			}
			b.WriteString(name)
			continue
		}
		b.WriteByte(filter[i])
	}
	return b.String(), true
}
