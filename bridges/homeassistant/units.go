package homeassistant

// deviceClass gives Home Assistant's class of a unit, and its name for the unit, where the unit alone
// leaves no doubt. It refuses a whole message for a pair that it does not know, so only pairs that every
// version since 2023 has are here; kvarh and % (battery, humidity, power factor) are not.
func deviceClass(unit string) (class string) {
	switch unit {
	case "V", "mV":
		return "voltage"
	case "A", "mA":
		return "current"
	case "W", "kW":
		return "power"
	case "Wh", "kWh", "MWh":
		return "energy"
	case "VA":
		return "apparent_power"
	case "var":
		return "reactive_power"
	case "Hz", "kHz", "MHz":
		return "frequency"
	case "°C", "°F", "K":
		return "temperature"
	case "Pa", "hPa", "kPa", "mbar", "bar", "psi":
		return "pressure"
	case "g", "kg":
		return "weight"
	case "lx":
		return "illuminance"
	case "W/m²":
		return "irradiance"
	case "m/s", "km/h", "kn", "mph":
		return "speed"
	case "mm", "cm", "m", "km":
		return "distance"
	case "dB", "dBm":
		return "signal_strength"
	}
	return ""
}

// haUnit is how Home Assistant writes a unit; "1" of templates is none.
func haUnit(unit string) string {
	switch unit {
	case "1":
		return ""
	case "VAr", "VAR":
		return "var"
	case "W/m2":
		return "W/m²"
	case "m3":
		return "m³"
	}
	return unit
}

// stateClass says what Home Assistant's statistics may do with a number. Energy may go down where a meter
// nets import and export, which total allows and total_increasing would take for a new meter.
func stateClass(class string) string {
	if class == "energy" {
		return "total"
	}
	return "measurement"
}
