package mqtt

// CheckName says what is wrong with a topic name, nil when it may be published to
// [v3.1.1 MQTT-3.3.2-2] [v5 MQTT-3.3.2-2]: 1 to 65,535 bytes of UTF-8 without U+0000, no wildcard.
func CheckName(name string) error { panic("codec") }

// CheckFilter says what is wrong with a topic filter, nil when it may be subscribed to
// [v3.1.1 MQTT-4.7.1-2] [v3.1.1 MQTT-4.7.1-3]; $share/NAME/FILTER is not treated here.
func CheckFilter(filter string) error { panic("codec") }

// Match tells whether the topic name matches the topic filter; leading wildcards
// do not match names that begin with $ [v3.1.1 MQTT-4.7.2-1].
func Match(filter, name string) bool { panic("codec") }
