package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/broker"
	"fieldgate/broker/access"
	"fieldgate/gateway/config"
	"fieldgate/internal/fault"
	"fieldgate/storage"
)

const theSecret = "correct horse battery"

// house is a manager with a real storage, and what its parts were handed.
type house struct {
	*config.Manager
	state    *storage.State
	alarms   *fault.Alarms
	bridges  [][]bridges.Config
	uplinks  [][]bridges.Config
	accounts [][]broker.Account
	rules    [][]access.Rule
}

func newHouse(t *testing.T) *house {
	cfg := storage.Default()
	cfg.DataDir = t.TempDir()
	h := &house{alarms: &fault.Alarms{}}
	db, err := storage.Open(cfg, h.alarms, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	h.state = db.State()
	h.restart()
	return h
}

// restart makes a new manager on the same storage.
func (h *house) restart() {
	h.Manager = config.NewManager(config.ManagerConfig{
		State: h.state, Kinds: []bridges.Kind{fieldKind(), cloudKind()}, Check: check,
		Hash:   func(p string) (string, error) { return "hash of " + p, nil },
		Alarms: h.alarms, Log: slog.New(slog.DiscardHandler),
	})
	h.bridges, h.uplinks, h.accounts, h.rules = nil, nil, nil, nil
	h.Start(config.Parts{
		Bridges:  func(c []bridges.Config) error { h.bridges = append(h.bridges, c); return nil },
		Uplinks:  func(c []bridges.Config) error { h.uplinks = append(h.uplinks, c); return nil },
		Accounts: func(a []broker.Account) { h.accounts = append(h.accounts, a) },
		Access:   func(r []access.Rule) { h.rules = append(h.rules, r) },
	})
}

type fieldSettings struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Enabled *bool  `json:"enabled"`
	Devices []struct {
		ID string `json:"id"`
	} `json:"devices"`
}

func fieldKind() bridges.Kind {
	return bridges.Kind{Name: "field", Devices: func(c bridges.Config) []bridges.Device {
		var s fieldSettings
		_ = bridges.Decode(c.Settings, &s) // what is readable is in place
		var devices []bridges.Device
		for _, d := range s.Devices {
			devices = append(devices, bridges.Device{ID: d.ID, Topic: "fieldgate/" + d.ID})
		}
		return devices
	}}
}

type cloudSettings struct {
	ID       string `json:"id"`
	URL      string `json:"url"`
	Password string `json:"password"`
}

func cloudKind() bridges.Kind {
	return bridges.Kind{Name: "uplink", Secrets: []string{"/password"}}
}

func check(_ config.Section, c bridges.Config) error {
	switch c.Kind {
	case "field":
		return bridges.Decode(c.Settings, &fieldSettings{})
	case "uplink":
		return bridges.Decode(c.Settings, &cloudSettings{})
	}
	return fault.List{fault.At("/kind", fault.Invalid, "must be field")}
}

// put stores an object and gives it back as people see it.
func (h *house) put(t *testing.T, section, key, object string) string {
	t.Helper()
	out, err := h.change(t, section, key, object)
	require.NoError(t, err)
	return out
}

func (h *house) change(t *testing.T, section, key, object string) (string, error) {
	out, err := h.Change(t.Context(), "anna", section, key, func(json.RawMessage) (json.RawMessage, error) {
		if object == "" {
			return nil, nil
		}
		return json.RawMessage(object), nil
	})
	return string(out), err
}

func last[T any](all [][]T) []T { return all[len(all)-1] }

func (h *house) summaries(t *testing.T) []string {
	raw, err := h.Revisions(t.Context())
	require.NoError(t, err)
	var list []struct {
		Revision        int64
		Author, Summary string
	}
	require.NoError(t, json.Unmarshal(raw, &list))
	words := make([]string, len(list))
	for i, r := range list {
		require.EqualValues(t, len(list)-i, r.Revision)
		words[i] = r.Author + ": " + r.Summary
	}
	return words
}

func TestManager_StartsEmpty(t *testing.T) {
	h := newHouse(t)
	require.Empty(t, h.List("bridges"))
	require.Equal(t, [][]bridges.Config{{}}, h.bridges)
	doc, err := h.Export(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `{"bridges":[],"uplinks":[],"accounts":[],"access_rules":[]}`, string(doc))
	require.Empty(t, h.summaries(t))
}

func TestManager_EachChangeIsARevisionAndReachesItsPartAlone(t *testing.T) {
	h := newHouse(t)
	require.JSONEq(t, `{"id":"b1","kind":"field","devices":[{"id":"d1"}]}`, h.put(t, "bridges", "b1", `{"devices":[{"id":"d1"}],"kind":"field","id":"b1"}`))
	require.Len(t, h.bridges, 2)
	require.Len(t, h.uplinks, 1)
	require.Len(t, h.accounts, 1)
	require.Equal(t, "b1", last(h.bridges)[0].ID)

	h.put(t, "bridges", "b1", `{"id":"b1","kind":"field","enabled":false}`)
	require.True(t, last(h.bridges)[0].Disabled)
	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x"}`)
	h.put(t, "bridges", "b1", ``)
	require.Empty(t, last(h.bridges))
	require.Equal(t, []string{"anna: remove bridge b1", "anna: add uplink cloud", "anna: change bridge b1", "anna: add bridge b1"}, h.summaries(t))

	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x"}`)
	require.Len(t, h.summaries(t), 4, "nothing changed, no revision")
	h.restart()
	require.Len(t, h.List("uplinks"), 1)
	require.Equal(t, "uplink", last(h.uplinks)[0].Kind)
}

func TestManager_ASecretLeavesOnlyToItsPart(t *testing.T) {
	h := newHouse(t)
	shown := h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x","password":"`+theSecret+`"}`)
	require.JSONEq(t, `{"id":"cloud","url":"mqtt://x","password_set":true}`, shown)
	require.JSONEq(t, `{"id":"cloud","url":"mqtt://x","password":"`+theSecret+`"}`, string(last(h.uplinks)[0].Settings))

	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://y","password_set":true}`)
	require.JSONEq(t, `{"id":"cloud","url":"mqtt://y","password":"`+theSecret+`"}`, string(last(h.uplinks)[0].Settings), "a change without it keeps it")

	doc, err := h.Export(t.Context())
	require.NoError(t, err)
	answer, err := h.Apply(t.Context(), "anna", doc, false)
	require.NoError(t, err)
	require.JSONEq(t, `{"revision":2,"changes":[],"diff":""}`, string(answer), "an export applied again changes nothing")
	revisions, err := h.Revisions(t.Context())
	require.NoError(t, err)
	dry, err := h.Apply(t.Context(), "anna", json.RawMessage(`{"uplinks":[{"id":"cloud","url":"z","password":"other `+theSecret+`"}]}`), true)
	require.NoError(t, err)
	listed := bytes.Join([][]byte{h.List("uplinks")[0], doc, answer, revisions, dry, []byte(shown)}, nil)
	require.NotContains(t, string(listed), theSecret)

	h.restart()
	require.Contains(t, string(last(h.uplinks)[0].Settings), theSecret)
	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://y","password_set":false}`)
	require.JSONEq(t, `{"id":"cloud","url":"mqtt://y"}`, string(last(h.uplinks)[0].Settings))
	kept, err := h.state.List("secrets")
	require.NoError(t, err)
	require.Empty(t, kept)
}

func TestManager_ReplacingASecretRestartsItsUplink(t *testing.T) {
	h := newHouse(t)
	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x","password":"one"}`)
	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x","password":"two"}`)
	require.Len(t, h.uplinks, 3)
	require.Contains(t, string(last(h.uplinks)[0].Settings), `"two"`)
	require.Len(t, h.summaries(t), 2)
}

func TestManager_TakesSecretsFromFilesAndTheEnvironment(t *testing.T) {
	h := newHouse(t)
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(theSecret+"\r\n"), 0o600))
	t.Setenv("CLOUD_PASSWORD", theSecret)
	for _, tt := range []struct{ name, reference string }{
		{"file", `{"file":"` + file + `"}`},
		{"env", `{"env":"CLOUD_PASSWORD"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shown := h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x","password":`+tt.reference+`}`)
			require.JSONEq(t, `{"id":"cloud","url":"mqtt://x","password":`+tt.reference+`,"password_set":true}`, shown)
			require.JSONEq(t, `{"id":"cloud","url":"mqtt://x","password":"`+theSecret+`"}`, string(last(h.uplinks)[0].Settings))
			again := h.put(t, "uplinks", "cloud", shown)
			require.JSONEq(t, shown, again)
		})
	}
	require.NoError(t, os.Remove(file))
	h.put(t, "uplinks", "other", `{"id":"other","url":"mqtt://x"}`)
	_, err := h.change(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x","password":{"file":"`+file+`"}}`)
	require.EqualError(t, err, "/password: read secret file "+file+": no such file or directory")
}

func TestManager_RefusesWithPointers(t *testing.T) {
	h := newHouse(t)
	h.put(t, "bridges", "b1", `{"id":"b1","kind":"field","devices":[{"id":"d1"}]}`)
	for _, tt := range []struct{ name, section, key, object, want string }{
		{"a key that nobody reads", "bridges", "b2", `{"id":"b2","kind":"field","devises":[]}`, `/devises: there is no such key; did you mean "devices"?`},
		{"a device of another bridge", "bridges", "b2", `{"id":"b2","kind":"field","devices":[{"id":"d2"},{"id":"d1"}]}`,
			`/devices/1/id: "d1" is the id of another device, on bridge b1; /devices/1/topic: "fieldgate/d1" is the topic of another device, on bridge b1`},
		{"an id that is none", "bridges", "B 2", `{"id":"B 2","kind":"field"}`, "/id: must be 1 to 64 of a-z, 0-9, - _ . that begin with a letter or digit"},
		{"another id", "bridges", "b2", `{"id":"b3","kind":"field"}`, "/id: must be b2, for it can't be changed"},
		{"no id", "bridges", "b2", `{"kind":"field"}`, "/id: is needed, as text"},
		{"an unknown kind", "bridges", "b2", `{"id":"b2","kind":"x"}`, "/kind: must be field"},
		{"no object", "bridges", "b2", `[]`, "must be an object"},
		{"a key twice", "bridges", "b2", `{"id":"b2","kind":"field","devices":[{"id":"d2","id":"d3"}]}`, "/devices/0/id: stands there twice"},
		{"a secret that is none", "uplinks", "u", `{"id":"u","url":"x","password":7}`, "/password: must be a text, {file: PATH} or {env: NAME}"},
		{"two sources of a secret", "uplinks", "u", `{"id":"u","url":"x","password":{"file":"a","env":"b"}}`, "/password: must be a text, {file: PATH} or {env: NAME}"},
		{"a secret of nobody", "uplinks", "u", `{"id":"u","url":"x","password":{"secret":"none"}}`, "/password: no secret named none is kept here; give the text, {file: PATH} or {env: NAME}"},
		{"a variable that is not set", "uplinks", "u", `{"id":"u","url":"x","password":{"env":"FIELDGATE_NO_SUCH"}}`, "/password: the environment has no variable FIELDGATE_NO_SUCH"},
		{"an account without a password", "accounts", "sensor", `{"username":"sensor"}`, "/password: is needed"},
		{"an account's unknown key", "accounts", "sensor", `{"username":"sensor","password":"x","enable":true}`, `/enable: there is no such key; did you mean "enabled"?`},
		{"a rule without a filter", "access_rules", "r", `{"id":"r","allow":["read"]}`, "/filter: is needed: a topic filter such as site/%u/#"},
		{"a rule that does nothing", "access_rules", "r", `{"id":"r","filter":"a"}`, "/allow: a rule must allow or deny something: [read], [write] or [read, write]"},
		{"a rule's strange words", "access_rules", "r", `{"id":"r","filter":"a/%n","allow":["readwrite"]}`,
			"/filter: must have % only in %u (user name), %c (client identifier) and %%; /allow/0: must be read or write"},
		{"a rule's unknown key", "access_rules", "r", `{"id":"r","filter":"a","allow":["read"],"user":"x"}`, "/user: there is no such key; known are account, allow, deny, filter, id"},
		{"a rule's id", "access_rules", "R 1", `{"id":"R 1","filter":"a","allow":["read"]}`, "/id: must be 1 to 64 of a-z, 0-9, - _ . that begin with a letter or digit"},
		{"a section that is none", "bridge", "b", `{}`, "there is no section bridge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.change(t, tt.section, tt.key, tt.object)
			require.EqualError(t, err, tt.want)
		})
	}
	require.Len(t, h.summaries(t), 1)
	require.Len(t, h.bridges, 2)
}

func TestManager_GivesEditsErrorAsItIs(t *testing.T) {
	h := newHouse(t)
	mine := errors.New("mine")
	_, err := h.Change(t.Context(), "anna", "bridges", "b", func(old json.RawMessage) (json.RawMessage, error) {
		require.Nil(t, old)
		return nil, mine
	})
	require.Equal(t, mine, err)
}

func TestManager_AccountsKeepAHashAlone(t *testing.T) {
	h := newHouse(t)
	require.JSONEq(t, `{"username":"sensor","password_set":true}`, h.put(t, "accounts", "sensor", `{"username":"sensor","password":"`+theSecret+`"}`))
	require.Equal(t, []broker.Account{{Username: "sensor", PasswordHash: "hash of " + theSecret}}, last(h.accounts))
	h.put(t, "accounts", "sensor", `{"username":"sensor","enabled":false}`)
	require.Equal(t, []broker.Account{{Username: "sensor", PasswordHash: "hash of " + theSecret, Disabled: true}}, last(h.accounts))
	require.Len(t, h.bridges, 1)
}

func TestManager_ApplyMakesEqual(t *testing.T) {
	h := newHouse(t)
	h.put(t, "bridges", "gone", `{"id":"gone","kind":"field"}`)
	h.put(t, "bridges", "same", `{"id":"same","kind":"field","devices":[{"id":"s1"},{"id":"s2"}]}`)
	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x"}`)
	doc, _, err := config.FromYAML("f", []byte("bridges:\n  - {id: same, kind: field, devices: [{id: s1}, {id: s3}]}\n  - {id: new, kind: field}\n"))
	require.NoError(t, err)

	dry, err := h.Apply(t.Context(), "anna", doc, true)
	require.NoError(t, err)
	var answer struct {
		Revision int64
		Changes  []struct{ Action, Section, ID string }
		Diff     string
	}
	require.NoError(t, json.Unmarshal(dry, &answer))
	require.EqualValues(t, 3, answer.Revision)
	require.Len(t, answer.Changes, 3)
	require.Equal(t, `remove bridges/gone
- - id: gone
-   kind: field
change bridges/same
  ...
    devices:
      - {id: s1}
-     - {id: s2}
+     - {id: s3}
add bridges/new
+ - id: new
+   kind: field
`, answer.Diff)
	require.Len(t, h.bridges, 3)
	require.Len(t, h.summaries(t), 3)

	applied, err := h.Apply(t.Context(), "bert", doc, false)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(applied, &answer))
	require.EqualValues(t, 4, answer.Revision)
	require.Len(t, last(h.bridges), 2)
	require.Len(t, h.uplinks, 2, "the section that was not mentioned stays")
	require.Equal(t, "bert: remove bridge gone, change bridge same, add bridge new", h.summaries(t)[0])
}

func TestManager_ApplyNamesAllFaultsWithPointersIntoTheDocument(t *testing.T) {
	h := newHouse(t)
	src := `bridges:
  - {id: a, kind: field, devices: [{id: d1}]}
  - {id: b, kind: field,
     devices: [{id: d1}]}
  - {id: a, kind: field}
  - {id: c, kind: fild}
uplinkss: []
accounts:
  - username: x
`
	doc, at, err := config.FromYAML("f.yaml", []byte(src))
	require.NoError(t, err)
	_, err = h.Apply(t.Context(), "anna", doc, false)
	require.EqualError(t, at.InFile("f.yaml", err), `f.yaml:5: bridges[2].id: "a" is the name of another bridge already
f.yaml:7: uplinkss: there is no such section; did you mean "uplinks"?`)

	src = strings.Replace(strings.Replace(src, "uplinkss: []\n", "", 1), "{id: a, kind: field}", "{id: e, kind: field}", 1)
	doc, at, err = config.FromYAML("f.yaml", []byte(src))
	require.NoError(t, err)
	_, err = h.Apply(t.Context(), "anna", doc, false)
	require.EqualError(t, at.InFile("f.yaml", err), `f.yaml:2: bridges[0].devices[0].id: "d1" is the id of another device, on bridge b
f.yaml:2: bridges[0].devices[0].topic: "fieldgate/d1" is the topic of another device, on bridge b
f.yaml:4: bridges[1].devices[0].id: "d1" is the id of another device, on bridge a
f.yaml:4: bridges[1].devices[0].topic: "fieldgate/d1" is the topic of another device, on bridge a
f.yaml:6: bridges[3].kind: must be field
f.yaml:8: accounts[0].password: is needed`)
	require.Empty(t, h.summaries(t))
}

func TestManager_RestoresARevisionAsANewOne(t *testing.T) {
	h := newHouse(t)
	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x","password":"one"}`)
	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://y","password":"two"}`)
	first, err := h.Revision(t.Context(), 1)
	require.NoError(t, err)
	require.JSONEq(t, `{"bridges":[],"uplinks":[{"id":"cloud","url":"mqtt://x","password":{"secret":"cloud-password"}}],"accounts":[],"access_rules":[]}`, string(first), "no secret leaves")
	tried, err := h.Restore(t.Context(), "bert", 1, true)
	require.NoError(t, err)
	require.Contains(t, string(tried), "- ")
	require.JSONEq(t, `{"id":"cloud","url":"mqtt://y","password":"two"}`, string(last(h.uplinks)[0].Settings), "a dry run only tells")
	_, err = h.Restore(t.Context(), "bert", 1, false)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"cloud","url":"mqtt://x","password":"two"}`, string(last(h.uplinks)[0].Settings), "passwords are no part of revisions")
	h.put(t, "uplinks", "cloud", ``)
	_, err = h.Restore(t.Context(), "bert", 2, false)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"cloud","url":"mqtt://y"}`, string(h.List("uplinks")[0]))
	require.Equal(t, "bert: restore revision 2", h.summaries(t)[0])
	_, err = h.Restore(t.Context(), "bert", 99, false)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	_, err = h.Revision(t.Context(), 99)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

func TestManager_StartsWithSettingsThatAreWrongByNow(t *testing.T) {
	h := newHouse(t)
	_, err := h.state.AddRevision("anna", "of an older version", []byte(`{"bridges":[{"id":"old","kind":"gone","x":1},{"id":"ok","kind":"field"}],"accounts":[{"username":"x"}]}`))
	require.NoError(t, err)
	h.restart()
	require.Len(t, last(h.bridges), 2, "the supervisor shows the wrong one as failed")
	require.Empty(t, last(h.accounts), "nobody logs in without a password")
	alarms, _ := h.alarms.List()
	require.Len(t, alarms, 1)
	require.Equal(t, "account/x", alarms[0].Part)
	h.put(t, "bridges", "new", `{"id":"new","kind":"field"}`)
	require.Len(t, last(h.bridges), 3, "the wrong one is no obstacle to a change elsewhere")
}

func TestManager_TakesTheNewestRevisionThatCanBeRead(t *testing.T) {
	h := newHouse(t)
	h.put(t, "bridges", "b1", `{"id":"b1","kind":"field"}`)
	_, err := h.state.AddRevision("anna", "torn", []byte(`{"bridges":[{"id`))
	require.NoError(t, err)
	h.restart()
	require.Len(t, last(h.bridges), 1)
	alarms, _ := h.alarms.List()
	require.Len(t, alarms, 1)
	require.Contains(t, alarms[0].Message, "revision 2 of the settings can't be read, revision 1 is used")
	h.put(t, "bridges", "b2", `{"id":"b2","kind":"field"}`)
	alarms, _ = h.alarms.List()
	require.Empty(t, alarms)
}

func TestManager_ResolvesWhatSomebodyTries(t *testing.T) {
	h := newHouse(t)
	h.put(t, "uplinks", "cloud", `{"id":"cloud","url":"mqtt://x","password":"one"}`)
	for _, tt := range []struct{ name, tried, want string }{
		{"the stored one", `{"id":"cloud","url":"mqtt://y","password_set":true}`, `{"id":"cloud","url":"mqtt://y","password":"one"}`},
		{"a new one", `{"id":"cloud","url":"mqtt://y","password":"two"}`, `{"id":"cloud","url":"mqtt://y","password":"two"}`},
		{"none", `{"id":"cloud","url":"mqtt://y","password_set":false}`, `{"id":"cloud","url":"mqtt://y"}`},
		{"not saved yet", `{"id":"fresh","url":"mqtt://y","password":"x"}`, `{"id":"fresh","url":"mqtt://y","password":"x"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := h.Resolve("uplinks", json.RawMessage(tt.tried))
			require.NoError(t, err)
			require.Equal(t, "uplink", c.Kind)
			require.JSONEq(t, tt.want, string(c.Settings))
		})
	}
	require.Contains(t, string(last(h.uplinks)[0].Settings), `"one"`)
	require.Len(t, h.summaries(t), 1)
}

func TestManager_AlarmOfASectionStandsUntilItIsApplied(t *testing.T) {
	h := newHouse(t)
	fail := errors.New("no more goroutines")
	h.Start(config.Parts{Bridges: func([]bridges.Config) error { return fail }})
	messages := func() []string {
		all, _ := h.alarms.List()
		words := []string{}
		for _, a := range all {
			words = append(words, a.Message)
		}
		return words
	}
	want := []string{"the bridges could not be applied; restart the gateway: no more goroutines"}
	require.Equal(t, want, messages())
	h.put(t, "accounts", "sensor", `{"username":"sensor","password":"`+theSecret+`"}`)
	require.Equal(t, want, messages(), "a change of something else does not put it right")
	fail = nil
	h.put(t, "bridges", "cabinet", `{"id":"cabinet","kind":"field"}`)
	require.Empty(t, messages())
}
