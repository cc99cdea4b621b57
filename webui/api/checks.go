package api

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"fieldgate/internal/fault"
)

// checkName says what is wrong with a person's name.
func checkName(faults *fault.List, pointer, name string) {
	ok := utf8.ValidString(name) && utf8.RuneCountInString(name) <= 64 && name == strings.TrimSpace(name)
	for i, r := range name {
		ok = ok && (unicode.IsLetter(r) || unicode.IsDigit(r) || i > 0 && strings.ContainsRune(" ._@-", r))
	}
	switch {
	case name == "":
		faults.Add(pointer, fault.Required, "is required")
	case strings.EqualFold(name, localName):
		faults.Add(pointer, fault.Invalid, "is what the machine's own administrator is called")
	case !ok:
		faults.Add(pointer, fault.Invalid, "must be at most 64 letters and digits; space . _ @ - may follow the first")
	}
}

// checkPassword says what is wrong with a new password.
func checkPassword(faults *fault.List, pointer, password, name string) {
	switch n := utf8.RuneCountInString(password); {
	case password == "":
		faults.Add(pointer, fault.Required, "is required")
	case n < minPassword || len(password) > maxPassword:
		faults.Add(pointer, fault.OutOfRange, "must have at least %d characters and at most %d bytes", minPassword, maxPassword)
	case strings.EqualFold(password, name):
		faults.Add(pointer, fault.Invalid, "must differ from the name")
	}
}

func checkRole(faults *fault.List, pointer string, r Role) {
	if r.rank() == 0 {
		faults.Add(pointer, fault.Invalid, "must be viewer, operator or admin")
	}
}

func checkLanguage(faults *fault.List, pointer, language string) {
	if language != "en" && language != "zh-CN" {
		faults.Add(pointer, fault.Invalid, "must be en or zh-CN")
	}
}
