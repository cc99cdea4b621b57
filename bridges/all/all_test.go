package all_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/all"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/template"
	"fieldgate/internal/fault"
)

func TestKinds_AreFitForASupervisor(t *testing.T) {
	for _, c := range []struct {
		role  bridges.Role
		kinds []bridges.Kind
	}{{bridges.FieldRole, all.Kinds(template.New(nil, ""))}, {bridges.UplinkRole, all.Uplinks()}} {
		require.NotEmpty(t, c.kinds)
		bridges.NewSupervisor(c.role, c.kinds, &bridgestest.Bus{}, &fault.Alarms{}, slog.New(slog.DiscardHandler))
		for _, k := range c.kinds {
			require.True(t, bridges.ValidID(k.Name), k.Name)
			require.NotEmpty(t, k.Title)
			require.NotNil(t, k.New)
		}
	}
}

func TestSerialPorts_ListsWithoutError(t *testing.T) {
	list, err := all.SerialPorts()
	require.NoError(t, err)
	for _, p := range list {
		require.NotEmpty(t, p.Port)
		require.NotEmpty(t, p.Device)
	}
}
