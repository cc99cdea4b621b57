package mqtt

import "strings"

// CheckName says what is wrong with a topic name, nil when it may be published to
// [v3.1.1 MQTT-3.3.2-2] [v5 MQTT-3.3.2-2]: 1 to 65,535 bytes of UTF-8 without U+0000, no wildcard.
// The error is one of the Err constants, whose words follow the name of the field.
func CheckName[T text](name T) error {
	if len(name) == 0 || len(name) > maxText {
		return ErrLength
	}
	wild, err := scan(name)
	if err != nil {
		return err
	}
	if wild {
		return ErrWildcard
	}
	return nil
}

// CheckFilter says what is wrong with a topic filter, nil when it may be subscribed to
// [v3.1.1 MQTT-4.7.1-2] [v3.1.1 MQTT-4.7.1-3]; $share/NAME/FILTER is not treated here.
// The error is one of the Err constants, whose words follow the name of the field.
func CheckFilter[T text](filter T) error {
	if len(filter) == 0 || len(filter) > maxText {
		return ErrLength
	}
	wild, err := scan(filter)
	if err != nil || !wild {
		return err
	}
	for i := range len(filter) {
		c := filter[i]
		if c != '+' && c != '#' {
			continue
		}
		last := i == len(filter)-1
		begins := i == 0 || filter[i-1] == '/'
		if c == '#' && !(begins && last) {
			return ErrMultiLast
		}
		if c == '+' && !(begins && (last || filter[i+1] == '/')) {
			return ErrPlusAlone
		}
	}
	return nil
}

// ParseShared takes a shared subscription's $share/NAME/FILTER apart
// [v5 MQTT-4.8.2-1] [v5 MQTT-4.8.2-2]. shared is false, and topicFilter the whole,
// for any other filter. The error is that of the whole form or of the filter
// inside, or of any other filter.
func ParseShared(filter string) (group, topicFilter string, shared bool, err error) {
	rest, shared := strings.CutPrefix(filter, "$share/")
	if !shared {
		return "", filter, false, CheckFilter(filter)
	}
	if len(filter) > maxText {
		return "", "", true, ErrLength
	}
	group, topicFilter, found := strings.Cut(rest, "/")
	if !found || topicFilter == "" {
		return "", "", true, ErrShareName
	}
	wild, err := scan(group)
	if err != nil {
		return "", "", true, err
	}
	if group == "" || wild {
		return "", "", true, ErrShareName
	}
	return group, topicFilter, true, CheckFilter(topicFilter)
}

// Match tells whether the topic name matches the topic filter; leading wildcards
// do not match names that begin with $ [v3.1.1 MQTT-4.7.2-1]. Both must have
// passed their check. The time is linear in their length; nothing is allocated.
func Match(filter, name string) bool {
	if strings.HasPrefix(name, "$") && (strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")) {
		return false
	}
	for {
		level, filterRest, filterMore := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		word, nameRest, nameMore := strings.Cut(name, "/")
		if level != "+" && level != word {
			return false
		}
		switch {
		case !filterMore:
			return !nameMore
		case !nameMore:
			return filterRest == "#" // it matches its parent level too [v3.1.1 4.7.1.2]
		}
		filter, name = filterRest, nameRest
	}
}
