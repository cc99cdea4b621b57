package api

import (
	"context"
	"net/http"
	"time"
)

// Certificates is what the page proves itself with; *webui.Server. Replace and Renew give a
// fault.Conflict when the host file says what is used.
type Certificates interface {
	Certificate() (Certificate, error)
	// Replace takes a certificate with its chain and its key, both PEM; new connections get it at once.
	Replace(certPEM, keyPEM []byte) error
	// Renew makes an own certificate for the machine's present names and addresses.
	Renew() error
}

// Certificate is what browsers are shown.
type Certificate struct {
	Mode        string     `json:"mode" enum:"off,auto,files" doc:"admin.tls of the host file"`
	Own         bool       `json:"self_signed"`
	Subject     string     `json:"subject,omitempty"`
	Issuer      string     `json:"issuer,omitempty"`
	Names       []string   `json:"names" nullable:"false" doc:"Host names and addresses that it is for"`
	NotBefore   *time.Time `json:"not_before" doc:"null without TLS"`
	NotAfter    *time.Time `json:"not_after"`
	Fingerprint string     `json:"sha256_fingerprint,omitempty" doc:"As browsers show it"`
}

type certificateBody struct {
	Certificate string `json:"certificate" minLength:"1" maxLength:"65536" doc:"PEM, with the certificates that stand between it and the root"`
	Key         string `json:"key" minLength:"1" maxLength:"65536" doc:"PEM, without a password; never given back"`
}

type certificateOutput struct{ Body Certificate }

func (a *API) addCertificate() {
	const tag, path = "system", "/system/tls"
	add(a, operation{method: http.MethodGet, path: path, id: "get-certificate", summary: "The certificate of the page", tag: tag, role: Admin}, a.getCertificate)
	add(a, operation{
		method: http.MethodPut, path: path, id: "put-certificate", summary: "Replace the certificate of the page; new connections get it at once", tag: tag,
		role: Admin, errors: []int{http.StatusConflict, http.StatusUnprocessableEntity},
	}, func(ctx context.Context, in *struct{ Body certificateBody }) (*certificateOutput, error) {
		if err := a.Certificates.Replace([]byte(in.Body.Certificate), []byte(in.Body.Key)); err != nil {
			return nil, err
		}
		a.log.Info("certificate replaced", "author", requestOf(ctx).caller.name)
		return a.getCertificate(ctx, nil)
	})
	add(a, operation{
		method: http.MethodDelete, path: path, id: "renew-certificate", summary: "Go back to an own certificate, made anew for the machine's names and addresses", tag: tag,
		role: Admin, status: http.StatusNoContent, errors: []int{http.StatusConflict},
	}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		if err := a.Certificates.Renew(); err != nil {
			return nil, err
		}
		a.log.Info("own certificate made anew", "author", requestOf(ctx).caller.name)
		return nil, nil
	})
}

func (a *API) getCertificate(context.Context, *struct{}) (*certificateOutput, error) {
	c, err := a.Certificates.Certificate()
	if c.Names == nil {
		c.Names = []string{}
	}
	return &certificateOutput{c}, err
}

func (a *API) addRestart() {
	add(a, operation{
		method: http.MethodPost, path: "/system/restart", id: "restart", tag: "system", role: Admin, status: http.StatusAccepted,
		summary: "Restart the gateway; the host file is read anew. It answers again within seconds", errors: []int{http.StatusServiceUnavailable},
	}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		a.log.Warn("restart", "author", requestOf(ctx).caller.name)
		return nil, a.Restart()
	})
}
