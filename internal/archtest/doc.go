// Package archtest holds the rules of the house as tests: the import table of
// docs/architecture.md and the habits that no compiler checks. The product must
// not import it.
package archtest
