package line

import (
	"regexp"
	"unicode/utf8"
)

// matchedSome finds the longest beginning of a regular expression that is one itself
// and matches the text: where it ends (in characters, 0 for nowhere), and that beginning.
func matchedSome(regex, text string) (n int, beginning string) {
	for end := len(regex); end > 0; end-- {
		if end < len(regex) && !utf8.RuneStart(regex[end]) {
			continue
		}
		re, err := regexp.Compile(regex[:end])
		if err != nil || re.MatchString("") && regex[:end] != "^" {
			continue // matches anything
		}
		if re.MatchString(text) && regex[:end] != "^" {
			return utf8.RuneCountInString(regex[:end]), regex[:end]
		}
	}
	return 0, ""
}
