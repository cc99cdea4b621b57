package mqtt

// Properties are the properties of a PUBLISH that travel with the message
// unaltered and in their order: payload format indicator, content type, response
// topic, correlation data and user properties, encoded as in [v5 3.3.2.3] without
// their length. Topic alias, subscription identifier and message expiry interval
// are not among them.
type Properties []byte
