package api

import (
	"context"
	"encoding/json"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker"
	"fieldgate/broker/access"
	"fieldgate/internal/fault"
	"fieldgate/internal/logring"
)

// Deps is what the interface works with. All of it must be set.
type Deps struct {
	Settings     Settings
	Bridges      Bridges
	Field        Field
	Uplinks      Uplinks
	Clients      Clients
	Access       Access
	Store        Store
	Passwords    Passwords
	YAML         YAML
	Alarms       *fault.Alarms
	Templates    Templates
	Kinds        []bridges.Kind // kinds of bridges to the field that a person may choose
	SerialPorts  func(ctx context.Context) ([]SerialPort, error)
	System       func() System
	Broker       func() (Broker, error) // Unavailable while it does not run
	Disk         func() Disk
	Logs         *logring.Ring // the last log records
	Backups      Backups
	Presets      []bridges.Preset // settings to begin an uplink with
	Certificates Certificates     // webui sets it
	Restart      func() error     // begins a restart and returns; Unavailable when nobody would start the gateway again
	Unkept       string           // why nothing that is changed would be kept; empty when it is
	Notice       string           // what the page says to everybody in place of itself; empty for nothing
}

// Sections of the managed settings.
const (
	bridgesSection  = "bridges"
	uplinksSection  = "uplinks"
	accountsSection = "accounts"
	rulesSection    = "access_rules"
)

// Settings is the managed settings. The objects that it gives hold no secret:
// for a secret "password" that is set they say "password_set": true. In an object
// that edit returns, "password" is a new secret, "password_set": false removes
// the one that is kept, anything else keeps it.
type Settings interface {
	Documents
	// List gives the objects of a section in their order.
	List(section string) []json.RawMessage
	// Change runs edit with the present object (nil when there is none) under the lock
	// of the settings, checks what it returns (nil deletes), stores it as a revision
	// and applies it. Faults are a fault.List with pointers into the object; edit's error
	// comes back as it is. It gives the new object, nil after a deletion.
	Change(ctx context.Context, author, section, id string, edit func(old json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error)
}

// Documents is the managed settings as a whole.
type Documents interface {
	// Export gives all sections as one object, without secrets.
	Export(ctx context.Context) (json.RawMessage, error)
	// Apply makes the settings equal to doc: {"revision","changes":[{"action","section","id"}],"diff"}. A dry run only tells.
	Apply(ctx context.Context, author string, doc json.RawMessage, dryRun bool) (json.RawMessage, error)
	// Revisions lists what was changed, newest first: [{"revision","time","author","summary"}].
	Revisions(ctx context.Context) (json.RawMessage, error)
	// Revision gives the settings of a revision as Export does, without secrets; NotFound when it is not kept.
	Revision(ctx context.Context, revision int64) (json.RawMessage, error)
	// Restore applies the settings of a revision as a new one and answers like Apply; NotFound when it is not kept. A dry run only tells.
	Restore(ctx context.Context, author string, revision int64, dryRun bool) (json.RawMessage, error)
}

// Links is what bridges and uplinks have in common; *bridges.Supervisor of their role.
type Links interface {
	// Statuses gives a snapshot of every one, in the order of the settings.
	Statuses() []bridges.Status
	// Check says what is wrong with settings that are not in force: a fault.List with pointers into them, or nil.
	Check(c bridges.Config) error
	// Test tries settings once; see bridges.Supervisor. Secrets may be missing where
	// the settings say "password_set": true; the stored ones are taken then.
	Test(ctx context.Context, c bridges.Config, device string) ([]bridges.Reading, error)
}

// Bridges is the running bridges; *bridges.Supervisor.
type Bridges interface {
	Links
	// Devices lists the configured devices. The caller must not change them.
	Devices() []bridges.Device
	// ValuesSince gives the last reading of every point that changed after version, and the version to ask with next time. 0 gives all.
	ValuesSince(version uint64) ([]bridges.Reading, uint64)
	// Write writes one point and reports what became of it; an error means that it could not be tried.
	Write(ctx context.Context, device, point string, value json.RawMessage) (bridges.WriteResult, error)
}

// Uplinks is the running uplinks; *bridges.Supervisor, whose Test is given the stored secrets.
type Uplinks interface {
	Links
	// DropQueue drops all that waits for the far side.
	DropQueue(ctx context.Context, id string) error
}

// Clients is who is connected to the broker.
type Clients interface {
	// Clients gives all sessions, connected or not; *broker.Broker.
	Clients() []broker.ClientInfo
}

// Access is what MQTT clients may do; *broker.Accounts.
type Access interface {
	// Explain tells whether a client could read or write a topic, and which rule decides; its error is a
	// fault.List with pointers into the question.
	Explain(q access.Question) (access.Answer, error)
}

// Store keeps small things under a bucket and a key. Get gives a fault.NotFound for what is not there.
type Store interface {
	Get(bucket, key string) ([]byte, error)
	Put(bucket, key string, value []byte) error
	Delete(bucket, key string) error
	List(bucket string) (map[string][]byte, error)
}

// Passwords hashes and checks people's passwords; both take tens of milliseconds on purpose.
type Passwords struct {
	Hash   func(password string) (string, error)
	Verify func(hash, password string) (bool, error)
}

// YAML reads and writes settings as people do. FromYAML also tells on which line the value at a JSON pointer, or
// the nearest around it, stands; the words of its error are shown to the caller.
type YAML struct {
	FromYAML func(text []byte) (doc json.RawMessage, line func(pointer string) int, err error)
	ToYAML   func(settings json.RawMessage) []byte
}

// SerialPort is one serial port of the machine.
type SerialPort struct {
	Port    string `json:"port" doc:"The path to use: the stable one below /dev/serial/by-id when there is one"`
	Device  string `json:"device" doc:"The device node, /dev/ttyUSB0"`
	Name    string `json:"name" doc:"What the USB adapter calls itself"`
	UsedBy  string `json:"used_by" doc:"The bridge that uses it"`
	Problem string `json:"problem" doc:"Why it can't be opened, empty when it can"`
}

// System is what the gateway says about itself.
type System struct {
	Version   string
	Hostname  string
	Started   time.Time
	Listeners []string // addresses of the MQTT listeners that are bound
	Endpoints []Endpoint
	Anonymous bool // clients without a user name are let in
	Machine   Machine
	Host      Host
}

// Host is what the host file says, or its defaults: only the machine's administrator changes it.
type Host struct {
	File           string `json:"file" doc:"Its path; empty when none is read and the defaults hold"`
	DataDir        string `json:"data_dir" doc:"Where everything is kept"`
	LogLevel       string `json:"log_level" enum:"debug,info,warn,error"`
	AdminAddress   string `json:"admin_address" doc:"Where the page is served"`
	AdminTLS       string `json:"admin_tls" enum:"off,auto,files"`
	Durability     string `json:"durability" enum:"power_safe,crash_safe"`
	MinFreeDisk    int64  `json:"min_free_disk_bytes" doc:"What the spool leaves free"`
	MaxConnections int    `json:"max_connections" doc:"MQTT clients at once"`
	MaxPacketSize  int    `json:"max_packet_size_bytes" doc:"Of an MQTT packet"`
	MaxQueued      int    `json:"max_queued_messages" doc:"Of a session that is offline"`
	QueueFull      string `json:"queue_full" enum:"drop_oldest,reject"`
}

// Endpoint is an MQTT listener as the host file has it.
type Endpoint struct {
	Address    string `json:"address" doc:"host:port, :port for all addresses of the machine, or unix:PATH"`
	Transport  string `json:"transport" enum:"tcp,websocket"`
	Path       string `json:"path,omitempty" doc:"Of a WebSocket"`
	TLS        bool   `json:"tls"`
	ClientCert bool   `json:"client_certificate" doc:"Nobody gets in without a client certificate"`
}

// Machine is what the gateway runs on. A number that the kernel does not tell is 0.
type Machine struct {
	OS                string  `json:"os"`
	Architecture      string  `json:"architecture"`
	Kernel            string  `json:"kernel"`
	CPUs              int     `json:"cpus"`
	Load1             float64 `json:"load_1min" doc:"Runnable tasks, averaged over a minute"`
	MemoryTotal       int64   `json:"memory_total_bytes"`
	MemoryAvailable   int64   `json:"memory_available_bytes"`
	ProcessMemory     int64   `json:"process_memory_bytes" doc:"Resident memory of the gateway"`
	ClockSynchronized *bool   `json:"clock_synchronized" doc:"Whether the kernel holds its clock for right (NTP); null when it does not tell"`
}
