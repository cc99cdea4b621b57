package webui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"

	"fieldgate/internal/fault"
)

// Modes of TLSConfig.
const (
	TLSOff   = "off"   // plain HTTP
	TLSAuto  = "auto"  // an own certificate; plain HTTP on the same port redirects
	TLSFiles = "files" // the certificate of cert_file and key_file; plain HTTP redirects
)

// Config is the host file's block "admin".
type Config struct {
	// Address is where the page and the REST interface are served: "127.0.0.1:8080", ":8080"; port 0 takes a free one.
	Address string    `json:"address"`
	TLS     TLSConfig `json:"tls"`
	// Hosts are names, besides the machine's own, under which people reach the page.
	Hosts []string `json:"hosts"`
	// DataDir holds admin.sock and the own certificate; no socket when empty. It comes from the host file's data_dir.
	DataDir string `json:"-"`
}

// TLSConfig says how the page is encrypted. As JSON it is "off", "auto" or {"cert_file","key_file"}.
type TLSConfig struct {
	Mode     string // one of the modes; "" is off
	CertFile string
	KeyFile  string
}

// DefaultConfig gives what the host file need not say.
func DefaultConfig() Config {
	return Config{Address: "127.0.0.1:8080", TLS: TLSConfig{Mode: TLSOff}}
}

// UnmarshalJSON reads "off", "auto", false or the two files; its errors are faults with pointers into the value.
func (t *TLSConfig) UnmarshalJSON(text []byte) error {
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[0] == '{' {
		var files struct {
			CertFile string `json:"cert_file"`
			KeyFile  string `json:"key_file"`
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&files); err != nil {
			return fault.New(fault.Invalid, "must be off, auto or {cert_file, key_file}: %v", err)
		}
		*t = TLSConfig{Mode: TLSFiles, CertFile: files.CertFile, KeyFile: files.KeyFile}
		return nil
	}
	var mode string
	if string(text) == "false" { // YAML 1.1 readers take off for it
		mode = TLSOff
	} else if json.Unmarshal(text, &mode) != nil || mode != TLSOff && mode != TLSAuto {
		return fault.New(fault.Invalid, "must be off, auto or {cert_file, key_file}")
	}
	*t = TLSConfig{Mode: mode}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (t TLSConfig) MarshalJSON() ([]byte, error) {
	if t.Mode == TLSFiles {
		return json.Marshal(map[string]string{"cert_file": t.CertFile, "key_file": t.KeyFile})
	}
	if t.Mode == "" {
		return json.Marshal(TLSOff)
	}
	return json.Marshal(t.Mode)
}

// Validate gives a fault.List with pointers into the block, nil when there is nothing wrong.
// It opens nothing: a certificate that can't be read is an alarm, so that the page comes up all the same.
func (c Config) Validate() error {
	var faults fault.List
	host, port, err := net.SplitHostPort(c.Address)
	n, portErr := strconv.Atoi(port)
	switch {
	case c.Address == "":
		faults.Add("/address", fault.Required, "is required: host:port, such as 127.0.0.1:8080 or :8080")
	case err != nil || portErr != nil || n < 0 || n > 65535 || strings.ContainsAny(host, "/ "):
		faults.Add("/address", fault.Invalid, "must be host:port with a port of 0 to 65535, such as 127.0.0.1:8080 or :8080")
	}
	if c.TLS.Mode == TLSFiles {
		if c.TLS.CertFile == "" {
			faults.Add("/tls/cert_file", fault.Required, "is required beside key_file")
		}
		if c.TLS.KeyFile == "" {
			faults.Add("/tls/key_file", fault.Required, "is required beside cert_file")
		}
	}
	const maxHosts = 64
	if len(c.Hosts) > maxHosts {
		faults.Add("/hosts", fault.OutOfRange, "must be at most %d names", maxHosts)
	}
	for i, name := range c.Hosts {
		if name == "" || len(name) > 253 || strings.ContainsAny(name, ":/ *") {
			faults.Add(fmt.Sprintf("/hosts/%d", i), fault.Invalid, "must be a host name without port")
		}
	}
	return faults.Err()
}
