// Package config holds the two places for settings: the host file, which the
// administrator of the machine owns, and the managed settings, which are changed
// through REST, the page and the command line. It composes the parts' own Config
// types and says what is wrong with file, line and key; it must not know what
// a setting means.
package config
