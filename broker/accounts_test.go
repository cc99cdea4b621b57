package broker_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
)

func hash(t testing.TB, password string) string {
	h, err := broker.HashPassword(password)
	require.NoError(t, err)
	return h
}

func login(username, password string) broker.Login {
	return broker.Login{ClientID: "id", Username: username, Password: []byte(password)}
}

func TestVerifyPassword_KnowsItsHashesOnly(t *testing.T) {
	h := hash(t, "secret")
	require.True(t, strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$"), h)
	require.NotEqual(t, h, hash(t, "secret"), "each hash has a salt of its own")
	require.NoError(t, broker.VerifyPassword(h, "secret"))
	require.ErrorIs(t, broker.VerifyPassword(h, "Secret"), broker.ErrCredentials)
	for _, c := range []struct{ name, hash string }{
		{"empty", ""},
		{"another kind", strings.Replace(h, "argon2id", "argon2i", 1)},
		{"another version", strings.Replace(h, "v=19", "v=16", 1)},
		{"no memory", strings.Replace(h, "m=19456", "m=0", 1)},
		{"too much memory", strings.Replace(h, "m=19456", "m=1945600", 1)},
		{"too many passes", strings.Replace(h, "t=2", "t=200", 1)},
		{"no lanes", strings.Replace(h, "p=1", "p=0", 1)},
		{"torn", h[:40]},
		{"no base64", h[:len(h)-3] + "***"},
		{"short key", h[:strings.LastIndex(h, "$")] + "$AAAA"},
	} {
		err := broker.VerifyPassword(c.hash, "secret")
		require.Error(t, err, c.name)
		require.NotErrorIs(t, err, broker.ErrCredentials, c.name)
	}
	_, err := broker.HashPassword("")
	require.Error(t, err)
}

func TestAccounts_DecideWhoMayConnect(t *testing.T) {
	a := broker.NewAccounts()
	a.Set([]broker.Account{
		{Username: "anna", PasswordHash: hash(t, "a")},
		{Username: "ben", PasswordHash: hash(t, "b"), Disabled: true},
	})
	for _, c := range []struct {
		name, username, password string
		want                     error
	}{
		{"right", "anna", "a", nil},
		{"right again", "anna", "a", nil},
		{"wrong after right", "anna", "b", broker.ErrCredentials},
		{"empty", "anna", "", broker.ErrCredentials},
		{"disabled", "ben", "b", broker.ErrNotAuthorized},
		{"unknown", "carl", "a", broker.ErrCredentials},
	} {
		require.ErrorIs(t, a.Authenticate(login(c.username, c.password)), c.want, c.name)
	}
}

func TestAccounts_AManyTimesAtOnce(t *testing.T) {
	a := broker.NewAccounts()
	a.Set([]broker.Account{{Username: "anna", PasswordHash: hash(t, "a")}})
	var wg sync.WaitGroup
	errs := make([]error, 200)
	for i := range errs {
		wg.Go(func() { errs[i] = a.Authenticate(login("anna", "a")) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestAccounts_SetRevokesWhatChanged(t *testing.T) {
	a := broker.NewAccounts()
	var revoked []string
	a.Watch(func(username string) { revoked = append(revoked, username) }, func() {})
	first := hash(t, "a")
	stays := broker.Account{Username: "stays", PasswordHash: first}
	a.Set([]broker.Account{stays, {Username: "gone", PasswordHash: first}, {Username: "off", PasswordHash: first}, {Username: "new password", PasswordHash: first}})
	require.Empty(t, revoked)
	require.NoError(t, a.Authenticate(login("new password", "a")))
	a.Set([]broker.Account{stays, {Username: "off", PasswordHash: first, Disabled: true}, {Username: "new password", PasswordHash: hash(t, "b")}, {Username: "more", PasswordHash: first}})
	require.ElementsMatch(t, []string{"gone", "off", "new password"}, revoked)
	require.ErrorIs(t, a.Authenticate(login("new password", "a")), broker.ErrCredentials)
	require.NoError(t, a.Authenticate(login("new password", "b")))
}
