package uplink

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// Config is one uplink as it stands in the managed settings.
type Config struct {
	bridges.Header
	URL       string        `json:"url"`     // mqtt, mqtts, ws or wss://host[:port]
	Version   mqtt.Version  `json:"version"` // 4 (3.1.1, the default) or 5
	ClientID  string        `json:"client_id"`
	Username  string        `json:"username"`
	Password  string        `json:"password"`
	KeepAlive time.Duration `json:"keep_alive"` // 5 s to 18 h, default 60 s
	TLS       TLS           `json:"tls"`
	Out       []Out         `json:"out"`
	In        []In          `json:"in"`
	Queue     Queue         `json:"queue"`
}

// TLS says how the cloud is verified and how the gateway shows itself.
type TLS struct {
	CAFile     string   `json:"ca_file"` // PEM; the system's certificates when empty
	CertFile   string   `json:"cert_file"`
	KeyFile    string   `json:"key_file"`
	ServerName string   `json:"server_name"` // the URL's host when empty
	ALPN       []string `json:"alpn"`
}

// Out is a set of local topics that go to the cloud.
type Out struct {
	Filter       string   `json:"filter"` // local topic filter
	QoS          mqtt.QoS `json:"qos"`    // 0 or 1
	LocalPrefix  string   `json:"local_prefix"`
	RemotePrefix string   `json:"remote_prefix"`
}

// In is a set of the cloud's topics that come down.
type In struct {
	Filter       string   `json:"filter"` // the cloud's topic filter
	QoS          mqtt.QoS `json:"qos"`    // 0 or 1
	RemotePrefix string   `json:"remote_prefix"`
	LocalPrefix  string   `json:"local_prefix"`
}

// Queue bounds what waits for a dead link.
type Queue struct {
	MaxMessages int64         `json:"max_messages"` // default 10,000,000
	MaxBytes    bridges.Bytes `json:"max_bytes"`    // default 4 GiB
	MaxAge      time.Duration `json:"max_age"`      // default 720 h
	Full        string        `json:"full"`         // drop_oldest (default) or reject
}

const (
	defaultKeepAlive   = 60 * time.Second
	defaultMaxMessages = 10_000_000
	defaultMaxBytes    = 4 << 30
	defaultMaxAge      = 720 * time.Hour
	maxMappings        = 200
)

// decode reads and checks the settings; the error is a fault.List with a pointer for each field.
func decode(c bridges.Config) (Config, error) {
	cfg := Config{
		Version:   mqtt.V311,
		ClientID:  "fieldgate-" + c.ID,
		KeepAlive: defaultKeepAlive,
		Queue:     Queue{MaxMessages: defaultMaxMessages, MaxBytes: defaultMaxBytes, MaxAge: defaultMaxAge, Full: "drop_oldest"},
	}
	var faults bridges.Faults
	faults.Decode(c.Settings, &cfg)
	cfg.check(&faults)
	cfg.ID = c.ID
	return cfg, faults.Err()
}

func (c *Config) check(faults *bridges.Faults) {
	if _, err := parseURL(c.URL); err != nil {
		faults.Add("/url", bridges.Invalid, "%s", err)
	}
	if c.Version != mqtt.V311 && c.Version != mqtt.V5 {
		faults.Add("/version", bridges.Invalid, "must be 4 (MQTT 3.1.1) or 5")
	}
	if c.Password != "" && c.Username == "" && c.Version == mqtt.V311 {
		faults.Add("/username", bridges.Required, "MQTT 3.1.1 allows a password only with a username")
	}
	if c.KeepAlive < 5*time.Second || c.KeepAlive > 18*time.Hour {
		faults.Add("/keep_alive", bridges.OutOfRange, "must be 5s to 18h")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		faults.Add("/tls/cert_file", bridges.Required, "cert_file and key_file go together")
	}
	if len(c.Out)+len(c.In) == 0 {
		faults.Add("/out", bridges.Required, "nothing would be sent: name at least one topic filter in out or in")
	}
	if len(c.Out) > maxMappings {
		faults.Add("/out", bridges.OutOfRange, "at most %d entries", maxMappings)
	}
	if len(c.In) > maxMappings {
		faults.Add("/in", bridges.OutOfRange, "at most %d entries", maxMappings)
	}
	for i, o := range c.Out {
		m := mapping{o.Filter, o.LocalPrefix, o.RemotePrefix}
		m.check(faults, fmt.Sprintf("/out/%d", i), o.QoS, "local_prefix", "remote_prefix")
	}
	for i, in := range c.In {
		m := mapping{in.Filter, in.RemotePrefix, in.LocalPrefix}
		m.check(faults, fmt.Sprintf("/in/%d", i), in.QoS, "remote_prefix", "local_prefix")
	}
	c.Queue.check(faults)
}

func (q *Queue) check(faults *bridges.Faults) {
	if q.MaxMessages < 1 {
		faults.Add("/queue/max_messages", bridges.OutOfRange, "must be at least 1")
	}
	if q.MaxBytes < 1<<20 {
		faults.Add("/queue/max_bytes", bridges.OutOfRange, "must be at least 1MiB")
	}
	if q.MaxAge < time.Minute {
		faults.Add("/queue/max_age", bridges.OutOfRange, "must be at least 1m")
	}
	if q.Full != "drop_oldest" && q.Full != "reject" {
		faults.Add("/queue/full", bridges.Invalid, "must be drop_oldest or reject")
	}
}

// address is where the cloud listens.
type address struct {
	scheme string // mqtt, mqtts, ws, wss
	host   string // host:port
	name   string // host
	url    string // for WebSocket
}

func (a address) secure() bool    { return a.scheme == "mqtts" || a.scheme == "wss" }
func (a address) webSocket() bool { return a.scheme == "ws" || a.scheme == "wss" }

func parseURL(s string) (address, error) {
	if s == "" {
		return address{}, errors.New("is missing, for example mqtts://broker.example.com:8883")
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return address{}, errors.New("must look like mqtts://broker.example.com:8883")
	}
	ports := map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}
	port, known := ports[u.Scheme]
	a := address{scheme: u.Scheme, name: u.Hostname(), url: s}
	switch {
	case !known:
		return address{}, errors.New("must begin with mqtt://, mqtts://, ws:// or wss://")
	case u.User != nil:
		return address{}, errors.New("must not contain a password: use username and password")
	case a.name == "":
		return address{}, errors.New("names no host")
	case !a.webSocket() && strings.Trim(u.Path, "/") != "":
		return address{}, errors.New("must end after the port")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	a.host = net.JoinHostPort(a.name, port)
	return a, nil
}
