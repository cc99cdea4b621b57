package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/all"
	"fieldgate/bridges/template"
	"fieldgate/broker"
	"fieldgate/broker/access"
	"fieldgate/gateway/config"
	"fieldgate/internal/fault"
	"fieldgate/internal/logring"
	"fieldgate/storage"
	"fieldgate/webui/api"
)

// fakeSettings keeps objects in memory. check stands for the parts' own judgement.
type fakeSettings struct {
	mu       sync.Mutex
	sections map[string][]json.RawMessage
	check    func(section string, o map[string]any) error
	applied  []string // what Apply was given
	authors  []string
}

var _ api.Settings = (*fakeSettings)(nil)

func (f *fakeSettings) List(section string) []json.RawMessage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]json.RawMessage(nil), f.sections[section]...)
}

func (f *fakeSettings) Change(_ context.Context, author, section, id string, edit func(json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, old := -1, json.RawMessage(nil)
	for i, text := range f.sections[section] {
		var o struct{ ID, Username string }
		if err := json.Unmarshal(text, &o); err != nil {
			return nil, err
		}
		if o.ID == id || o.Username == id {
			at, old = i, text
		}
	}
	text, err := edit(old)
	if err != nil {
		return nil, err
	}
	f.authors = append(f.authors, author)
	if text == nil {
		f.sections[section] = append(f.sections[section][:at:at], f.sections[section][at+1:]...)
		return nil, nil
	}
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, err
	}
	if err := f.check(section, o); err != nil {
		return nil, err
	}
	if _, ok := o["password"]; ok {
		delete(o, "password")
		o["password_set"] = true
		if text, err = json.Marshal(o); err != nil {
			return nil, err
		}
	}
	if at < 0 {
		f.sections[section] = append(f.sections[section], text)
	} else {
		f.sections[section][at] = text
	}
	return text, nil
}

func (f *fakeSettings) Export(context.Context) (json.RawMessage, error) {
	return json.RawMessage(`{"bridges":[{"id":"cabinet","framing":{"delimiter":"\r\n"}}],"uplinks":[]}`), nil
}

func (f *fakeSettings) Apply(_ context.Context, author string, doc json.RawMessage, dryRun bool) (json.RawMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if string(doc) == "{\"bridges\":[1]}" {
		return nil, &fault.Error{Field: "/bridges/0", Code: fault.Invalid, Message: "must be an object"}
	}
	f.applied = append(f.applied, string(doc))
	if dryRun {
		return json.RawMessage(`{"revision":0,"changes":[],"diff":""}`), nil
	}
	f.authors = append(f.authors, author)
	return json.RawMessage(`{"revision":7,"changes":[{"action":"add","section":"bridges","id":"cabinet"}],"diff":"+"}`), nil
}

func (f *fakeSettings) Revisions(context.Context) (json.RawMessage, error) {
	return json.RawMessage(`[{"revision":7,"time":"2026-11-22T10:00:00Z","author":"anna","summary":"change bridge cabinet"}]`), nil
}

func (f *fakeSettings) Revision(_ context.Context, revision int64) (json.RawMessage, error) {
	if revision != 7 {
		return nil, fault.New(fault.NotFound, "there is no revision %d", revision)
	}
	return json.RawMessage(`{"bridges":[{"id":"cabinet"}]}`), nil
}

func (f *fakeSettings) Restore(_ context.Context, _ string, revision int64, dryRun bool) (json.RawMessage, error) {
	if revision != 7 {
		return nil, fault.New(fault.NotFound, "there is no revision %d", revision)
	}
	if dryRun {
		return json.RawMessage(`{"revision":7,"changes":[],"diff":""}`), nil
	}
	return json.RawMessage(`{"revision":8,"changes":[],"diff":""}`), nil
}

// checkSample judges like a kind: id, unit, and unknown keys.
func checkSample(section string, o map[string]any) error {
	var faults fault.List
	if section != "bridges" {
		return nil
	}
	if id, _ := o["id"].(string); !bridges.ValidID(id) {
		faults.Add("/id", fault.Invalid, "must be an id")
	}
	if _, ok := o["timeot"]; ok {
		faults.Add("/timeot", fault.UnknownKey, "there is no such key; did you mean \"timeout\"?")
	}
	devices, _ := o["devices"].([]any)
	for i, d := range devices {
		device, _ := d.(map[string]any)
		if unit, _ := device["unit"].(float64); unit > 247 {
			faults.Add("/devices/"+string(rune('0'+i))+"/unit", fault.OutOfRange, "must be 1 to 247")
		}
		if id, _ := device["id"].(string); id == "" {
			faults.Add("/devices/"+string(rune('0'+i))+"/id", fault.Required, "is needed")
		}
	}
	return faults.Err()
}

// fakeLinks is bridges and uplinks that do what the test says.
type fakeLinks struct {
	mu       sync.Mutex // of devices and values, for those who change them while somebody looks
	statuses func() []bridges.Status
	devices  []bridges.Device
	values   func(version uint64) ([]bridges.Reading, uint64)
	test     func(ctx context.Context, c bridges.Config, device string) ([]bridges.Reading, error)
	write    func(device, point string, value json.RawMessage) (bridges.WriteResult, error)
	drop     func(id string) error
}

var (
	_ api.Bridges = (*fakeLinks)(nil)
	_ api.Uplinks = (*fakeLinks)(nil)
	_ api.Bridges = (*bridges.Supervisor)(nil)
	_ api.Uplinks = (*bridges.Supervisor)(nil)
	_ api.Store   = (*storage.State)(nil)
	_ api.Clients = (*broker.Broker)(nil)
)

func (f *fakeLinks) Statuses() []bridges.Status { return f.statuses() }

func (f *fakeLinks) Devices() []bridges.Device {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.devices
}

func (f *fakeLinks) ValuesSince(version uint64) ([]bridges.Reading, uint64) {
	f.mu.Lock()
	values := f.values
	f.mu.Unlock()
	return values(version)
}

// Check judges like the settings.
func (f *fakeLinks) Check(c bridges.Config) error {
	var o map[string]any
	if err := json.Unmarshal(c.Settings, &o); err != nil {
		return err
	}
	return checkSample("bridges", o)
}

func (f *fakeLinks) Test(ctx context.Context, c bridges.Config, device string) ([]bridges.Reading, error) {
	return f.test(ctx, c, device)
}

func (f *fakeLinks) Write(_ context.Context, device, point string, value json.RawMessage) (bridges.WriteResult, error) {
	return f.write(device, point, value)
}

func (f *fakeLinks) DropQueue(_ context.Context, id string) error { return f.drop(id) }

// fakeCertificates keeps what it was given; "bad" is none.
type fakeCertificates struct{ cert, key string }

func (f *fakeCertificates) Certificate() (api.Certificate, error) {
	return api.Certificate{Mode: "auto", Own: f.cert == "", Subject: f.cert}, nil
}

func (f *fakeCertificates) Replace(cert, key []byte) error {
	if string(cert) == "bad" {
		return fault.List{fault.At("/certificate", fault.Invalid, "can't be used")}
	}
	f.cert, f.key = string(cert), string(key)
	return nil
}

func (f *fakeCertificates) Renew() error {
	f.cert = ""
	return nil
}

type fakeClients []broker.ClientInfo

func (f fakeClients) Clients() []broker.ClientInfo { return f }

// memory is a Store for tests that run in a bubble of synctest, where SQLite can't.
type memory struct {
	mu sync.Mutex
	m  map[string]map[string][]byte
}

func (s *memory) Get(bucket, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.m[bucket][key]; ok {
		return v, nil
	}
	return nil, fault.New(fault.NotFound, "nothing is kept there")
}

func (s *memory) Put(bucket, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[bucket] == nil {
		s.m[bucket] = map[string][]byte{}
	}
	s.m[bucket][key] = bytes.Clone(value)
	return nil
}

func (s *memory) Delete(bucket, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m[bucket], key)
	return nil
}

func (s *memory) List(bucket string) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string][]byte{}
	for k, v := range s.m[bucket] {
		all[k] = bytes.Clone(v)
	}
	return all, nil
}

// quick hashes without taking any time; the real one is tested where it stands.
func quick() api.Passwords {
	return api.Passwords{
		Hash:   func(password string) (string, error) { return "quick " + password, nil },
		Verify: func(hash, password string) (bool, error) { return hash == "quick "+password, nil },
	}
}

// lines stands for YAML: it reads what it wrote.
func lines() api.YAML {
	return api.YAML{
		FromYAML: func(text []byte) (json.RawMessage, func(string) int, error) {
			if doc, ok := strings.CutPrefix(string(text), "settings: "); ok {
				return json.RawMessage(doc), func(pointer string) int { return strings.Count(pointer, "/") }, nil
			}
			return nil, nil, errors.New("line 1: must be settings")
		},
		ToYAML: func(settings json.RawMessage) []byte { return append([]byte("settings: "), settings...) },
	}
}

// house is an API over fakes, claimed by anna, with a viewer vera and an operator otto.
type house struct {
	t        *testing.T
	deps     api.Deps
	api      *api.API
	echo     *echo.Echo
	settings *fakeSettings
	bridges  *fakeLinks
	uplinks  *fakeLinks
	field    *fakeField
	store    *memory
	log      *bytes.Buffer
	broker   func() (api.Broker, error)
	restarts int
	backups  *fakeBackups
}

const password = "correct horse"

func newHouse(t *testing.T) *house {
	t.Helper()
	h := newUnclaimed(t)
	local := h.local()
	local.send("POST", "/setup", `{"name":"anna","password":"`+password+`"}`).want(201)
	for name, role := range map[string]string{"vera": "viewer", "otto": "operator"} {
		local.send("POST", "/users", `{"name":"`+name+`","role":"`+role+`","password":"`+password+`"}`).want(201)
	}
	return h
}

func newUnclaimed(t *testing.T) *house {
	t.Helper()
	since := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	h := &house{
		t: t, echo: echo.New(), store: &memory{m: map[string]map[string][]byte{}}, log: &bytes.Buffer{},
		settings: &fakeSettings{check: checkSample, sections: map[string][]json.RawMessage{
			"bridges":      {json.RawMessage(`{"id":"cabinet","kind":"modbus","devices":[{"id":"meter","unit":1,"points":[{"id":"power"}]},{"id":"relays","unit":2}]}`)},
			"uplinks":      {json.RawMessage(`{"id":"cloud","url":"mqtts://c.example:8883","password_set":true}`)},
			"accounts":     {json.RawMessage(`{"username":"sensor","enabled":true,"password_set":true}`)},
			"access_rules": {json.RawMessage(`{"id":"own","filter":"site/%u/#","allow":["read","write"]}`)},
		}},
		bridges: &fakeLinks{
			devices: []bridges.Device{{ID: "meter", Points: []bridges.Point{{ID: "power", Unit: "W", Name: bridges.Names{"en": "Power"}}, {ID: "limit", Writable: true}}}},
			statuses: func() []bridges.Status {
				return []bridges.Status{{
					ID: "cabinet", Kind: "modbus", State: bridges.Online, Since: since, Counters: map[string]int64{"polls": 12},
					Devices: []bridges.DeviceStatus{{ID: "meter", State: bridges.Online, Since: since}},
				}}
			},
			values: func(version uint64) ([]bridges.Reading, uint64) {
				if version > 0 {
					return nil, version
				}
				return []bridges.Reading{
					{Device: "meter", Point: "power", Value: bridges.Float(230.1), Unit: "W", Quality: bridges.Good, Time: since.Add(47*time.Millisecond + time.Microsecond)},
					{Device: "meter", Point: "limit", Value: bridges.Int(9), Quality: bridges.Bad, Error: bridges.ErrTimeout, Time: since},
					{Device: "relays", Point: "coil", Quality: bridges.Bad, Error: bridges.ErrNoValueYet},
				}, 1
			},
			test: func(context.Context, bridges.Config, string) ([]bridges.Reading, error) {
				return []bridges.Reading{{Device: "meter", Point: "power", Value: bridges.Int(1), Quality: bridges.Good, Time: since}}, nil
			},
			write: func(string, string, json.RawMessage) (bridges.WriteResult, error) {
				return bridges.WriteResult{OK: true, Value: bridges.Float(21.5), Took: 38 * time.Millisecond}, nil
			},
		},
		field: &fakeField{
			scan: func(context.Context, bridges.Config, json.RawMessage, func(bridges.ScanStep)) error { return nil },
			hand: func(bridges.Config, json.RawMessage) (bridges.HandAnswer, error) { return handed{OK: true}, nil },
			// Nobody waits for these but the test of the monitor.
			looks: make(chan bool, 1000), gone: make(chan struct{}),
		},
		uplinks: &fakeLinks{
			statuses: func() []bridges.Status {
				return []bridges.Status{{ID: "cloud", Kind: "uplink", State: bridges.Connected, Since: since}}
			},
			test: func(context.Context, bridges.Config, string) ([]bridges.Reading, error) { return nil, nil },
			drop: func(string) error { return nil },
		},
	}
	h.echo.IPExtractor = echo.ExtractIPDirect()
	h.deps = api.Deps{
		Settings: h.settings, Bridges: h.bridges, Field: h.field, Uplinks: h.uplinks, Clients: fakeClients{{Connected: true}, {Connected: true, InProcess: true}, {Durable: true}}, Access: rules(t), Store: h.store, Passwords: quick(), YAML: lines(),
		Alarms: &fault.Alarms{}, Templates: templates(t), Kinds: []bridges.Kind{{Name: "modbus", Title: "Modbus RTU and TCP"}},
		SerialPorts: func(context.Context) ([]api.SerialPort, error) {
			return []api.SerialPort{{Port: "/dev/serial/by-id/usb", Device: "/dev/ttyUSB0", Name: "FT232R USB UART", UsedBy: "cabinet"}}, nil
		},
		System: func() api.System {
			return api.System{Version: "1.2.3", Hostname: "pi", Started: time.Now().Add(-12 * time.Second), Listeners: []string{"127.0.0.1:1883"}}
		},
	}
	h.broker = func() (api.Broker, error) { return nil, fault.New(fault.Unavailable, "the broker does not run yet") }
	h.deps.Broker = func() (api.Broker, error) { return h.broker() }
	h.deps.Logs = logring.New(100)
	h.deps.Presets = []bridges.Preset{{ID: "aws-iot-core", Settings: json.RawMessage(`{"version":5}`)}}
	h.deps.Certificates = &fakeCertificates{}
	h.deps.Restart = func() error { h.restarts++; return nil }
	h.backups = &fakeBackups{}
	h.deps.Backups = h.backups
	h.deps.Disk = func() api.Disk { return api.Disk{Spool: 1, State: 2, Pending: 3, Free: 7, Size: 9} }
	var err error
	h.api, err = api.New(h.echo, h.deps, slog.New(h.deps.Logs.Handler(slog.NewTextHandler(h.log, nil))))
	require.NoError(t, err)
	h.api.Open()
	t.Cleanup(h.api.StopStreams)
	return h
}

// rules lets everybody read and write the topics of their own name.
func rules(t *testing.T) *broker.Accounts {
	t.Helper()
	a := broker.NewAccounts()
	own := access.Rule{ID: "own", Filter: "site/%u/#", Allow: []access.Action{access.Read, access.Write}}
	require.Empty(t, own.Validate())
	a.SetPolicy(access.New([]access.Rule{own}, access.DenyWithRules))
	return a
}

// client makes requests as somebody.
type client struct {
	h      *house
	local  bool
	remote string
	header http.Header
}

func (h *house) stranger() *client {
	return &client{h: h, remote: "192.0.2.7:4711", header: http.Header{}}
}

func (h *house) local() *client {
	c := h.stranger()
	c.local = true
	return c
}

// login is somebody with a session.
func (h *house) login(name string) *client {
	h.t.Helper()
	c := h.stranger()
	a := c.send("POST", "/session", `{"name":"`+name+`","password":"`+password+`"}`).want(200)
	c.header.Set("Cookie", strings.Split(a.header.Get("Set-Cookie"), ";")[0])
	return c
}

// answer is a response, read whole.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// send makes a request. More are pairs of a header's name and value; an empty value removes it.
func (c *client) send(method, path, body string, more ...string) *answer {
	c.h.t.Helper()
	ctx := c.h.t.Context()
	if c.local {
		ctx = api.WithLocal(ctx)
	}
	r := httptest.NewRequestWithContext(ctx, method, "/api/v1"+path, strings.NewReader(body))
	r.RemoteAddr = c.remote
	for k, v := range c.header {
		r.Header[k] = v
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(more); i += 2 {
		if r.Header.Set(more[i], more[i+1]); more[i+1] == "" {
			r.Header.Del(more[i])
		}
	}
	w := httptest.NewRecorder()
	c.h.echo.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	require.NoError(c.h.t, err)
	return &answer{t: c.h.t, status: w.Code, header: w.Header(), body: string(text)}
}

// want asserts the status; every error must be a problem that repeats it.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	require.Equal(a.t, status, a.status, a.body)
	if status >= 400 && strings.HasPrefix(a.header.Get("Content-Type"), "application/problem") {
		require.EqualValues(a.t, status, a.json()["status"], a.body)
	}
	return a
}

func (a *answer) json() map[string]any {
	a.t.Helper()
	var v map[string]any
	require.NoError(a.t, json.Unmarshal([]byte(a.body), &v), a.body)
	return v
}

// pointers gives "pointer code" of each fault.
func (a *answer) pointers() []string {
	a.t.Helper()
	var p struct {
		Errors []struct{ Pointer, Code string }
	}
	require.NoError(a.t, json.Unmarshal([]byte(a.body), &p), a.body)
	var all []string
	for _, e := range p.Errors {
		all = append(all, e.Pointer+" "+e.Code)
	}
	return all
}

// templates are those of the product; own ones are judged by all kinds.
func templates(t *testing.T) *template.Set {
	s := template.New(func(name string, text []byte) (json.RawMessage, func(error) error, error) {
		doc, lines, err := config.FromYAML(name, text)
		return doc, func(err error) error { return lines.InFile(name, err) }, err
	}, t.TempDir())
	all.Kinds(s)
	return s
}
