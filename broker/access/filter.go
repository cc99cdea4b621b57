package access

import "strings"

// areApart tells whether one filter begins with $ and the other with a wildcard,
// which matches no topic that begins with $ [v3.1.1 MQTT-4.7.2-1].
func areApart(a, b string) bool {
	begins := func(s, with string) bool { return s != "" && strings.Contains(with, s[:1]) }
	return begins(a, "$") && begins(b, "+#") || begins(a, "+#") && begins(b, "$")
}

// covers tells whether the filter wide matches every topic that narrow matches.
func covers(wide, narrow string) bool {
	if areApart(wide, narrow) {
		return false
	}
	for {
		w, wideRest, wideMore := strings.Cut(wide, "/")
		if w == "#" {
			return true
		}
		n, narrowRest, narrowMore := strings.Cut(narrow, "/")
		if n == "#" || w != "+" && w != n {
			return false
		}
		switch {
		case !wideMore:
			return !narrowMore
		case !narrowMore:
			return wideRest == "#"
		}
		wide, narrow = wideRest, narrowRest
	}
}

// intersect gives the filter of the topics that both match; some is false when
// there are none.
func intersect(a, b string) (filter string, some bool) {
	if areApart(a, b) {
		return "", false
	}
	var common []string
	restA, restB := strings.Split(a, "/"), strings.Split(b, "/")
	for {
		switch {
		case len(restA) == 0 && len(restB) == 0:
			return strings.Join(common, "/"), true
		case len(restA) == 1 && restA[0] == "#": // it matches its parent level too
			return strings.Join(append(common, restB...), "/"), true
		case len(restB) == 1 && restB[0] == "#":
			return strings.Join(append(common, restA...), "/"), true
		case len(restA) == 0 || len(restB) == 0:
			return "", false
		}
		level := restA[0]
		switch {
		case level == "+":
			level = restB[0]
		case restB[0] != "+" && restB[0] != level:
			return "", false
		}
		common = append(common, level)
		restA, restB = restA[1:], restB[1:]
	}
}
