package modbus_test

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/modbus"
)

func TestSample_IsRightAndListed(t *testing.T) {
	settings := bridgestest.Sample(t, "modbus.yaml")
	require.Len(t, settings, 2)
	kind := modbus.Kind(&port.Ports{})
	var devices []bridges.Device
	for _, s := range settings {
		c, err := bridges.NewConfig(s, "")
		require.NoError(t, err)
		_, err = kind.New(c, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		devices = append(devices, kind.Devices(c)...)
	}
	require.Len(t, devices, 3)
	require.Equal(t, "fieldgate/main-meter", devices[0].Topic)
	low, high := -10.0, 60.0
	require.Equal(t, bridges.Point{
		ID: "setpoint", Unit: "°C", Writable: true, Values: &bridges.ValueSet{Form: bridges.NumberForm, Min: &low, Max: &high, Step: 0.5},
		Fresh: 10 * time.Second,
	}, devices[0].Points[4])
	require.Equal(t, "site/roof/inverter", devices[2].Topic)
}

func TestKind_KeepsItsPromises(t *testing.T) {
	good := bridgestest.Sample(t, "modbus.yaml")[0]
	missing := json.RawMessage(`{"id":"a","kind":"modbus","link":{"serial":{"port":"/dev/does-not-exist"}},"devices":[{"id":"d","points":[{"id":"p"}]}]}`)
	refusing := json.RawMessage(`{"id":"a","kind":"modbus","link":{"rtu_over_tcp":{"address":"127.0.0.1:1"}},"devices":[{"id":"d","points":[{"id":"p"}]}]}`)
	with := func(link, more, point string) json.RawMessage {
		return json.RawMessage(`{"id":"a","kind":"modbus","link":{` + link + `}` + more + `,"devices":[{"id":"d","points":[{"id":"p"` + point + `}]}]}`)
	}
	const tcp = `"tcp":{"address":"host"}`
	at := "/devices/0/points/0"
	bridgestest.Run(t, modbus.Kind(&port.Ports{}), bridgestest.Case{
		Good: []json.RawMessage{good, missing, refusing},
		Bad: []bridgestest.Wrong{
			{Settings: json.RawMessage(`{"id":"a","kind":"modbus"}`), Pointers: []string{"/link", "/devices"}},
			{Settings: with(tcp+`,"serial":{"port":"/dev/x"}`, "", ""), Pointers: []string{"/link"}},
			{Settings: with(`"tcp":{"address":"host:port"}`, "", ""), Pointers: []string{"/link/tcp/address"}},
			{Settings: with(`"tcp":{}`, "", ""), Pointers: []string{"/link/tcp/address"}},
			{Settings: with(`"serial":{"baud":1,"format":"9X3","rs485":"maybe"}`, `,"timeout":"1ms","retries":11,"pause":"1h"`, ""), Pointers: []string{
				"/link/serial/port", "/link/serial/baud", "/link/serial/format", "/link/serial/rs485", "/timeout", "/retries", "/pause",
			}},
			{Settings: with(`"serial":{"port":"ttyUSB0","format":"7E1"}`, "", ""), Pointers: []string{"/link/serial/port", "/link/serial/format"}},
			{Settings: with(tcp, "", `,"tabel":"coil"`), Pointers: []string{at + "/tabel"}},
			{Settings: with(tcp, "", `,"table":"coils"`), Pointers: []string{at + "/table"}},
			{Settings: with(tcp, "", `,"type":"int24","order":"ABDC","scale":0,"precision":16,"address":65536`), Pointers: []string{
				at + "/type", at + "/order", at + "/scale", at + "/precision", at + "/address",
			}},
			{Settings: with(tcp, "", `,"type":"float64","address":65533`), Pointers: []string{at + "/address"}},
			{Settings: with(tcp, "", `,"bit":16`), Pointers: []string{at + "/bit"}},
			{Settings: with(tcp, "", `,"bit":1,"type":"int16"`), Pointers: []string{at + "/type"}},
			{Settings: with(tcp, "", `,"table":"coil","bit":1,"scale":2`), Pointers: []string{at + "/bit", at + "/scale"}},
			{Settings: with(tcp, "", `,"table":"input","write":{}`), Pointers: []string{at + "/write"}},
			{Settings: with(tcp, "", `,"write":{"min":2,"max":1,"step":0,"function":5}`), Pointers: []string{at + "/write/max", at + "/write/step", at + "/write/function"}},
			{
				Settings: json.RawMessage(`{"id":"a","kind":"modbus","link":{"serial":{"port":"/dev/x"}},"devices":[
					{"id":"d","unit":248,"interval":"1ms","topic":"a/#","payload":"xml","max_read":126,"points":[]},{"id":"d","points":[{"id":"p"},{"id":"p"}]}]}`),
				Pointers: []string{
					"/devices/0/unit", "/devices/0/interval", "/devices/0/topic", "/devices/0/payload", "/devices/0/max_read", "/devices/0/points",
					"/devices/1/id", "/devices/1/points/1/id",
				},
			},
		},
	})
}
