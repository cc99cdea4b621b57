package line

// Number is number for tests.
func Number(text, decimal string) (string, bool) { return number(text, decimal) }
