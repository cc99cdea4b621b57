package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/access"
	"fieldgate/gateway/config"
)

func TestManager_RulesReachTheirPartAndComeBackAsYAML(t *testing.T) {
	h := newHouse(t)
	require.Equal(t, [][]access.Rule{{}}, h.rules, "those who ask find that there is none")
	h.put(t, "access_rules", "own", `{"allow":["read","write"],"filter":"%u/#","id":"own"}`)
	h.put(t, "access_rules", "no-relay", `{"id":"no-relay","account":"panel","filter":"fieldgate/+/+/set","deny":["write"]}`)
	want := []access.Rule{
		{ID: "own", Filter: "%u/#", Allow: []access.Action{access.Read, access.Write}},
		{ID: "no-relay", Account: "panel", Filter: "fieldgate/+/+/set", Deny: []access.Action{access.Write}},
	}
	require.Equal(t, want, last(h.rules))
	require.Equal(t, []string{"anna: add access rule no-relay", "anna: add access rule own"}, h.summaries(t))

	exported, err := h.Export(t.Context())
	require.NoError(t, err)
	again, _, err := config.FromYAML("export", config.ToYAML(exported))
	require.NoError(t, err)
	require.JSONEq(t, string(exported), string(again))
	_, err = h.Apply(t.Context(), "anna", []byte(`{"access_rules":[]}`), false)
	require.NoError(t, err)
	require.Empty(t, last(h.rules))
	_, err = h.Apply(t.Context(), "anna", again, false)
	require.NoError(t, err)
	require.Equal(t, want, last(h.rules))

	h.restart()
	require.Equal(t, want, last(h.rules))
}

func TestManager_ARuleThatCannotBeReadDeniesEverything(t *testing.T) {
	h := newHouse(t)
	_, err := h.state.AddRevision("anna", "of a newer version", []byte(`{"access_rules":[{"id":"new","account":"panel","filter":"a","allow":["read"],"hours":"9-17"}]}`))
	require.NoError(t, err)
	h.restart()
	require.Equal(t, []access.Rule{{ID: "new", Account: "panel", Filter: "#", Deny: []access.Action{access.Read, access.Write}}}, last(h.rules))
	alarms, _ := h.alarms.List()
	require.Len(t, alarms, 1)
	require.Equal(t, "access-rule/new", alarms[0].Part)
	h.put(t, "access_rules", "new", `{"id":"new","filter":"a","allow":["read"]}`)
	alarms, _ = h.alarms.List()
	require.Empty(t, alarms)
}
