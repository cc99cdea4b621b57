package line

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"fieldgate/bridges"
)

// regexParser takes the named groups of a regular expression.
type regexParser struct {
	fieldList
	regex  *regexp.Regexp
	groups []int
}

func newRegexParser(f *bridges.Faults, at, text string) parser {
	checkLength(f, at, text, 1, maxRegex)
	if f.Has(at) {
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		f.Add(at, bridges.Invalid, "is no regular expression: %s", regexWords(text, err))
		return nil
	}
	return &regexParser{regex: re}
}

// regexWords says what is wrong with a regular expression, and where.
func regexWords(text string, err error) string {
	wrong, ok := errors.AsType[*syntax.Error](err)
	if !ok {
		return err.Error()
	}
	words := string(wrong.Code)
	if i := strings.Index(text, wrong.Expr); i >= 0 && wrong.Expr != "" && wrong.Expr != text {
		return fmt.Sprintf("%s at character %d: %s", words, utf8.RuneCountInString(text[:i])+1, wrong.Expr)
	}
	return words + ": " + wrong.Expr
}

func (r *regexParser) bind(field string, _ *Point) (int, error) {
	group := r.regex.SubexpIndex(field)
	if group < 0 {
		return 0, fmt.Errorf("the regex has no group (?P<%s>...); it has %s", field, groupNames(r.regex))
	}
	i := r.number(field)
	if i == len(r.groups) {
		r.groups = append(r.groups, group)
	}
	return i, nil
}

func (r *regexParser) parse(body []byte, cells []cell) bool {
	text := plainText(body)
	found := r.regex.FindStringSubmatchIndex(text)
	if found == nil {
		return false
	}
	for i, g := range r.groups {
		if from, to := found[2*g], found[2*g+1]; from >= 0 {
			cells[i] = cell{here: true, text: text[from:to]}
		}
	}
	return true
}

func groupNames(regex *regexp.Regexp) string {
	names := slices.DeleteFunc(slices.Clone(regex.SubexpNames()), func(s string) bool { return s == "" })
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
