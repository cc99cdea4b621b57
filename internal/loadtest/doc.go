// Package loadtest drives whole brokers from outside, ours and Debian's
// mosquitto in turns: `make bench` writes docs/performance.md with it, `make
// soak` watches for what grows. It is tests only; the product must not import it.
package loadtest
