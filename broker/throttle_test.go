package broker_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// weak is a hash of "right" that costs next to nothing.
const weak = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$"

func weakHash(t testing.TB) string { return weak + broker.WeakKey("right") }

// gate is accounts with cheap passwords and who tries them.
type gate struct {
	testing.TB
	*broker.Accounts
}

func newGate(t testing.TB, users ...string) gate {
	a := broker.NewAccounts()
	var list []broker.Account
	for _, user := range users {
		list = append(list, broker.Account{Username: user, PasswordHash: weakHash(t)})
	}
	a.Set(list)
	return gate{t, a}
}

func (g gate) try(from, user, password string) error {
	l := broker.Login{Username: user, Password: []byte(password)}
	if from != "" {
		l.From = netip.MustParseAddr(from)
	}
	return g.Authenticate(l)
}

// fail tries wrong passwords until they are not looked at any more, and counts those that were.
func (g gate) fail(from string, user func(n int) string) (looked int) {
	for n := range 1000 {
		err := g.try(from, user(n), fmt.Sprint("wrong", n))
		if errors.Is(err, broker.ErrTooMany) {
			return looked
		}
		require.ErrorIs(g, err, broker.ErrCredentials)
		looked++
	}
	return looked
}

func always(name string) func(int) string { return func(int) string { return name } }

func TestLogins_WrongPasswordsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, "anna", "ben")
		require.Equal(t, 5, g.fail("10.0.0.1", always("anna")))
		require.ErrorIs(t, g.try("10.0.0.1", "anna", "right"), broker.ErrTooMany, "the right one is not looked at either")
		require.NoError(t, g.try("10.0.0.2", "anna", "right"), "from elsewhere it is")
		require.NoError(t, g.try("10.0.0.1", "ben", "right"), "others behind the same address get in")
		time.Sleep(31 * time.Second)
		require.NoError(t, g.try("10.0.0.1", "anna", "right"), "nobody is locked out for ever")
		require.Equal(t, 1, g.fail("10.0.0.1", always("anna")), "a right one gives no new guesses")
	})
}

func TestLogins_ManyNamesFromOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := []string{"anna", "ben"}
		for n := range 400 {
			users = append(users, fmt.Sprint("guess", n))
		}
		g := newGate(t, users...)
		require.NoError(t, g.try("10.0.0.1", "ben", "right"))
		looked := 0
		for _, name := range users[2:] { // each once: the address has a count of its own
			if err := g.try("10.0.0.1", name, "x"); errors.Is(err, broker.ErrCredentials) {
				looked++
			}
		}
		require.Equal(t, 50, looked)
		time.Sleep(31 * time.Second)
		require.NoError(t, g.try("10.0.0.1", "ben", "right"))
		require.NoError(t, g.try("10.0.0.1", "anna", "right"))
	})
}

func TestLogins_WhatCountsTogether(t *testing.T) {
	for _, c := range []struct {
		name, first, second string
		together            bool
	}{
		{"another IPv4 address", "10.0.0.1", "10.0.0.2", false},
		{"IPv4 in IPv6", "10.0.0.1", "::ffff:10.0.0.1", true},
		{"one IPv6 network", "2001:db8::1", "2001:db8::2:3", true},
		{"another IPv6 network", "2001:db8::1", "2001:db8:0:1::1", false},
		{"link-local neighbours", "fe80::1", "fe80::2", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(t, "anna")
			require.Equal(t, 5, g.fail(c.first, always("anna")))
			err := g.try(c.second, "anna", "right")
			if c.together {
				require.ErrorIs(t, err, broker.ErrTooMany)
			} else {
				require.NoError(t, err)
			}
		})
	}
	for _, own := range []string{"127.0.0.1", "::1", "127.1.2.3", "::ffff:127.0.0.1", ""} {
		g := newGate(t, "anna")
		require.Equal(t, 1000, g.fail(own, always("anna")), "this machine's own address %q", own)
	}
}

func TestLogins_RemembersABoundedNumberOfAddresses(t *testing.T) {
	g := newGate(t, "anna")
	require.Equal(t, 5, g.fail("10.0.0.1", always("anna")))
	for n := range 5000 {
		require.ErrorIs(t, g.try(fmt.Sprintf("10.1.%d.%d", n>>8, n&255), "anna", "wrong"), broker.ErrCredentials)
	}
	require.LessOrEqual(t, g.Throttled(), 4096)
}

func TestLogins_AThousandRightOnesAtOnceAreNotLimited(t *testing.T) {
	g := newGate(t, "anna")
	errs := make(chan error, 1000)
	for n := range cap(errs) {
		go func() { errs <- g.try(fmt.Sprintf("10.0.%d.%d", n>>8, n&255), "anna", "right") }()
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.LessOrEqual(t, g.Hashed(), int64(2), "at most as many as are hashed at the same time")
}

func TestLogins_RefusedOnesAreTold(t *testing.T) {
	for _, c := range []struct {
		version mqtt.Version
		want    mqtt.ReasonCode
	}{
		{mqtt.V311, mqtt.ServerUnavailable},
		{mqtt.V5, mqtt.ConnectionRateExceeded},
	} {
		a := limited{}
		b := startWith(t, memory(t), &a, onTCP)
		v := &voice{testClient: connectTo(t, b, packet.Connect{Version: c.version, ClientID: "c", CleanStart: true, HasUsername: true, Username: "anna"})}
		require.NoError(t, v.connack.Decode(v.recv(), c.version))
		require.Equal(t, c.want, v.connack.Reason)
		require.Equal(t, netip.MustParseAddr("127.0.0.1"), a.login.From)
		v.close()
	}
}

// limited refuses everybody.
type limited struct {
	broker.Accounts
	login broker.Login
}

func (l *limited) Authenticate(login broker.Login) error {
	l.login = login
	return broker.ErrTooMany
}
