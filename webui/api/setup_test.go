package api_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func (h *house) code() string {
	code, err := h.store.Get("setup", "code")
	require.NoError(h.t, err)
	return string(code)
}

func TestSetup_ClaimsOnceWithTheCode(t *testing.T) {
	h := newUnclaimed(t)
	s := h.stranger()
	require.Equal(t, false, s.send("GET", "/setup", "").want(200).json()["claimed"])
	require.Regexp(t, `^\d{4}-\d{4}$`, h.code())

	wrong := s.send("POST", "/setup", `{"code":"","name":"","password":"short","language":"fr"}`).want(422)
	require.Equal(t, []string{"/code required", "/name required", "/password out_of_range", "/language invalid"}, wrong.pointers())
	require.NotContains(t, wrong.body, "short")

	a := s.send("POST", "/setup", `{"code":"`+h.code()+`","name":"anna","password":"`+password+`","language":"zh-CN"}`).want(201)
	require.JSONEq(t, `{"user":{"name":"anna","role":"admin","language":"zh-CN"}}`, a.body)
	require.Regexp(t, `^fg_session=[\w-]{43}; Path=/; Max-Age=\d+; HttpOnly; SameSite=Strict$`, a.header.Get("Set-Cookie"))

	require.Equal(t, true, s.send("GET", "/setup", "").want(200).json()["claimed"])
	s.send("POST", "/setup", `{"code":"1","name":"eve","password":"`+password+`"}`).want(409)
	h.local().send("GET", "/setup/code", "").want(404)
}

func TestSetup_NeedsNoCodeFromThisMachine(t *testing.T) {
	for name, row := range map[string]struct {
		client func(h *house) *client
		needed bool
	}{
		"unix socket":     {(*house).local, false},
		"IPv4 loopback":   {func(h *house) *client { c := h.stranger(); c.remote = "127.0.0.1:9"; return c }, false},
		"IPv6 loopback":   {func(h *house) *client { c := h.stranger(); c.remote = "[::1]:9"; return c }, false},
		"another machine": {(*house).stranger, true},
		"a proxy over here": {func(h *house) *client {
			c := h.stranger()
			c.remote = "127.0.0.1:9"
			c.header.Set("X-Forwarded-For", "198.51.100.1")
			return c
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := row.client(newUnclaimed(t))
			require.Equal(t, row.needed, c.send("GET", "/setup", "").want(200).json()["code_required"])
			status := 201
			if row.needed {
				status = 422
			}
			c.send("POST", "/setup", `{"name":"anna","password":"`+password+`"}`).want(status)
		})
	}
}

func TestSetup_TellsTheCodeToTheMachinesAdministrator(t *testing.T) {
	h := newUnclaimed(t)
	require.Equal(t, h.code(), h.local().send("GET", "/setup/code", "").want(200).json()["code"])
	h.stranger().send("GET", "/setup/code", "").want(401)
}

func TestSetup_LimitsGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newUnclaimed(t)
		s := h.stranger()
		body := `{"code":"12","name":"anna","password":"` + password + `"}`
		for range 5 {
			s.send("POST", "/setup", body).want(422)
		}
		a := s.send("POST", "/setup", body).want(429)
		require.Equal(t, "900", a.header.Get("Retry-After"))
		other := h.stranger()
		other.remote = "192.0.2.8:1"
		other.send("POST", "/setup", body).want(422)
		time.Sleep(15 * time.Minute)
		s.send("POST", "/setup", body).want(422)
	})
}
