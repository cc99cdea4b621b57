// Package conformance keeps docs/conformance.md true: the table of the normative
// statements of MQTT 3.1.1 and 5.0 with the tests that show them. The statements
// stand in broker/testdata/statements-*.txt; which test shows which says the test
// itself, a conversation script in a header line
//
//	# shows v3.1.1 MQTT-3.1.0-1, MQTT-3.1.0-2, v5 MQTT-3.1.0-2
//
// and a Go test in such a line of its doc comment. Where Debian's mosquitto
// behaves in another way stands in the scripts too, as lines "a~ ... -- why".
// The document prints the clients of broker/testdata/clients.txt too, with the tests that play them.
// The tests of this package fail when the document is stale, when a line names a
// statement that does not exist, and when a statement that binds a server has
// neither test nor reason. The product must not import it.
package conformance
