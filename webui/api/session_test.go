package api_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/webui/api"
)

func TestSession_LogsInAndOut(t *testing.T) {
	h := newHouse(t)
	anna := h.login("anna")
	anna.send("GET", "/session", "").want(200)
	out := anna.send("DELETE", "/session", "").want(204)
	require.Contains(t, out.header.Get("Set-Cookie"), "fg_session=;")
	anna.send("GET", "/session", "").want(401)
}

func TestSession_RefusesWithoutTellingWhy(t *testing.T) {
	h := newHouse(t)
	wrong := h.stranger().send("POST", "/session", `{"name":"anna","password":"wrong horse"}`).want(401)
	unknown := h.stranger().send("POST", "/session", `{"name":"nobody","password":"wrong horse"}`).want(401)
	require.Equal(t, wrong.body, unknown.body)
	require.NotContains(t, h.log.String(), "wrong horse")
}

func TestSession_LimitsFailuresPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		s := h.stranger()
		right, wrong := `{"name":"anna","password":"`+password+`"}`, `{"name":"anna","password":"guess"}`
		for range 4 {
			s.send("POST", "/session", wrong).want(401)
		}
		s.send("POST", "/session", right).want(200) // does not clear the failures
		s.send("POST", "/session", wrong).want(401)
		require.Equal(t, "900", s.send("POST", "/session", right).want(429).header.Get("Retry-After"))
		other := h.stranger()
		other.remote = "192.0.2.8:1"
		other.send("POST", "/session", right).want(200)
		time.Sleep(15*time.Minute - time.Second)
		s.send("POST", "/session", right).want(429)
		time.Sleep(time.Second)
		s.send("POST", "/session", right).want(200)
	})
}

func TestSession_CountsAnIPv6NetworkAsOneAddress(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8::1": "2001:db8::/64", "2001:db8::ffff:1": "2001:db8::/64",
		"fe80::1%eth0": "fe80::1", "@": "local",
	} {
		require.Equal(t, want, api.AddressKey(address), address)
	}
}

func TestThrottle_RemembersABoundedNumberOfAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		try, size := api.NewThrottle()
		for i := range 2 * api.MaxThrottled {
			time.Sleep(time.Millisecond)
			require.Zero(t, try(strconv.Itoa(i), 1))
		}
		require.Equal(t, api.MaxThrottled, size())
		require.NotZero(t, try(strconv.Itoa(2*api.MaxThrottled-1), 1), "the newest is remembered")
		time.Sleep(15 * time.Minute)
		require.Zero(t, try("new", 1))
		require.Equal(t, 1, size(), "windows that are over go first")
	})
}

func TestSession_EndsAfter30DaysWithoutUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		anna := h.login("anna")
		for range 3 { // use renews it
			time.Sleep(20 * 24 * time.Hour)
			anna.send("GET", "/session", "").want(200)
		}
		time.Sleep(30*24*time.Hour + time.Second)
		anna.send("GET", "/session", "").want(401)
		all, err := h.store.List("sessions")
		require.NoError(t, err)
		require.Len(t, all, 1, "only the one of the claim is left, for nobody used it")
	})
}

func TestSession_ChangesOwnLanguageAndPassword(t *testing.T) {
	h := newHouse(t)
	vera, other := h.login("vera"), h.login("vera")
	require.Contains(t, vera.send("PATCH", "/session", `{"language":"zh-CN"}`).want(200).body, "zh-CN")
	vera.send("PATCH", "/session", `{"language":"fr"}`).want(422)
	require.Equal(t, []string{"/current_password invalid"}, vera.send("PATCH", "/session", `{"password":"better horse"}`).want(422).pointers())
	a := vera.send("PATCH", "/session", `{"password":"better horse","current_password":"`+password+`"}`).want(200)
	require.NotEmpty(t, a.header.Get("Set-Cookie"))
	other.send("GET", "/session", "").want(401)
	h.stranger().send("POST", "/session", `{"name":"vera","password":"better horse"}`).want(200)
	h.local().send("PATCH", "/session", `{"language":"en"}`).want(404)
}

func TestTokens_OpenTheInterfaceAndAreShownOnce(t *testing.T) {
	h := newHouse(t)
	anna := h.login("anna")
	require.Equal(t, []string{"/name required", "/role invalid"}, anna.send("POST", "/tokens", `{"name":"","role":"king"}`).want(422).pointers())
	made := anna.send("POST", "/tokens", `{"name":"script","role":"operator"}`).want(201)
	text := made.json()["token"].(string)
	require.Regexp(t, `^fg_[\w-]{43}$`, text)
	require.NotContains(t, anna.send("GET", "/tokens", "").want(200).body, text)

	s := h.stranger()
	s.header.Set("Authorization", "Bearer "+text)
	s.send("POST", "/bridges/cabinet/pause", "").want(204)
	s.send("GET", "/users", "").want(403)
	require.Equal(t, "token:script", h.settings.authors[0])

	path := made.header.Get("Location")[len("/api/v1"):]
	anna.send("DELETE", path, "").want(428)
	anna.send("DELETE", path, "", "If-Match", made.header.Get("ETag")).want(204)
	s.send("GET", "/bridges", "").want(401)
	h.stranger().send("GET", "/bridges", "", "Authorization", "Bearer fg_wrong").want(401)
}

func TestUsers_AreManaged(t *testing.T) {
	h := newHouse(t)
	anna, vera := h.login("anna"), h.login("vera")
	require.Equal(t, []string{"/name conflict"}, anna.send("POST", "/users", `{"name":"VERA","role":"viewer","password":"`+password+`"}`).want(409).pointers())
	require.Equal(t, []string{"/name invalid", "/password invalid", "/role invalid"},
		anna.send("POST", "/users", `{"name":"a/bcdefgh","role":"","password":"A/BCDEFGH"}`).want(422).pointers())
	require.Equal(t, []string{"/name invalid"}, anna.send("POST", "/users", `{"name":"Local","role":"viewer","password":"`+password+`"}`).want(422).pointers())
	made := anna.send("POST", "/users", `{"name":"李 雷","role":"viewer","password":"`+password+`"}`).want(201)
	anna.send("GET", made.header.Get("Location")[len("/api/v1"):], "").want(200)

	tag := anna.send("GET", "/users/vera", "").want(200).header.Get("ETag")
	vera.send("GET", "/session", "").want(200)
	a := anna.send("PATCH", "/users/vera", `{"role":"operator","password":"other horse"}`, "If-Match", tag).want(200)
	require.Equal(t, "operator", a.json()["role"])
	vera.send("GET", "/session", "").want(401) // a new password ends the sessions
	anna.send("PUT", "/users/vera", `{"role":"viewer"}`, "If-Match", tag).want(412)
	anna.send("PUT", "/users/vera", `{"name":"wera"}`, "If-Match", "*").want(422)
	anna.send("DELETE", "/users/vera", "", "If-Match", "*").want(204)
	anna.send("DELETE", "/users/vera", "", "If-Match", "*").want(404)
	anna.send("DELETE", "/users/anna", "", "If-Match", "*").want(409)
	anna.send("PATCH", "/users/anna", `{"role":"viewer"}`, "If-Match", "*").want(409)
	anna.send("PATCH", "/users/otto", `{"role":"admin"}`, "If-Match", "*").want(200)
	anna.send("DELETE", "/users/anna", "", "If-Match", "*").want(204)
	anna.send("GET", "/session", "").want(401)
}
