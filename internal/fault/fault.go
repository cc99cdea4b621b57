// Package fault gives an error a code, a field and words that every face of
// fieldgate can show: the REST interface, the page, the log and the command
// line. It must not know where an error is shown or which part raised it.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Code is what a program may branch on. Codes are stable; messages are not.
type Code string

// The codes that cross part borders. A part may add its own finer ones.
const (
	Invalid      Code = "invalid"      // the value can't be what it is
	Required     Code = "required"     // the field is missing
	OutOfRange   Code = "out_of_range" // a number outside its limits
	UnknownKey   Code = "unknown_key"  // nothing reads that key
	NotFound     Code = "not_found"    // the thing named does not exist
	Conflict     Code = "conflict"     // it exists already, or it is in use
	Stale        Code = "stale"        // it changed since the caller read it
	Unauthorized Code = "unauthorized" // who are you
	Forbidden    Code = "forbidden"    // you may not
	TooMany      Code = "too_many"     // a limit of rate or number
	Unavailable  Code = "unavailable"  // not now: a part is down or busy
	Unreachable  Code = "unreachable"  // the far side gave no answer
	Internal     Code = "internal"     // our mistake; the log knows more
)

// Error is one fault in words for a person.
type Error struct {
	Code    Code
	Field   string // JSON pointer into what the caller sent ("/devices/0/unit"), or empty
	Message string // what is wrong and what is allowed, without the field's name
	Err     error  // the cause, for the log; never shown to a person
}

// New returns a fault without a field.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// At returns a fault of the field at the JSON pointer.
func At(pointer string, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Field: pointer, Message: fmt.Sprintf(format, args...)}
}

// Error gives the message behind the field that it is about.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// List is every fault of one input, in the order of the input.
type List []*Error

// Add appends a fault of the field at the JSON pointer.
func (l *List) Add(pointer string, code Code, format string, args ...any) {
	*l = append(*l, At(pointer, code, format, args...))
}

// Err gives the list as an error, nil when it is empty.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// Error gives all faults, one behind the other.
func (l List) Error() string {
	words := make([]string, len(l))
	for i, e := range l {
		words[i] = e.Error()
	}
	return strings.Join(words, "; ")
}

// Unwrap lets errors.As find the single faults.
func (l List) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// CodeOf gives the code of the first fault in err's tree, Internal when there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// All gives every fault in err's tree; an error that is no fault becomes one with the code Internal.
func All(err error) List {
	if err == nil {
		return nil
	}
	if l, ok := errors.AsType[List](err); ok {
		return l
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return List{e}
	}
	return List{{Code: Internal, Message: "internal error", Err: err}}
}
