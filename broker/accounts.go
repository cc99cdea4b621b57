package broker

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"fieldgate/broker/access"
)

// hashesAtOnce is how many passwords are hashed at the same time; each takes 19 MiB.
const hashesAtOnce = 2

// Account is one MQTT login.
type Account struct {
	Username     string
	PasswordHash string // see HashPassword
	Disabled     bool
}

var _ Authenticator = (*Accounts)(nil)

// Accounts is an Authenticator for a list of accounts. It remembers, in memory
// and under a key of its own, which passwords were right, so that a thousand
// clients that come back after a power cut don't cost a thousand hashes. All
// methods may be called at the same time.
type Accounts struct {
	slots  chan struct{} // one place for each hash at the same time
	flight singleflight.Group
	key    [32]byte

	mu       sync.Mutex
	accounts map[string]Account
	verified map[string][sha256.Size]byte // by user name: what the last right password came to
	revoked  func(string)
	changed  func()

	policy   atomic.Pointer[access.Policy]
	failures throttle
	hashed   atomic.Int64 // passwords
}

// NewAccounts gives an empty list: nobody may connect with a user name.
func NewAccounts() *Accounts {
	a := &Accounts{slots: make(chan struct{}, hashesAtOnce), accounts: map[string]Account{}, verified: map[string][sha256.Size]byte{}}
	_, _ = rand.Read(a.key[:]) // never fails
	return a
}

// Set makes the list the given one. Clients of an account that is gone, disabled
// or has another password are disconnected.
func (a *Accounts) Set(accounts []Account) {
	next := make(map[string]Account, len(accounts))
	for _, account := range accounts {
		next[account.Username] = account
	}
	var changed []string
	a.mu.Lock()
	for name, old := range a.accounts {
		if next[name] != old {
			changed = append(changed, name)
			delete(a.verified, name)
		}
	}
	for name, account := range next {
		if _, had := a.accounts[name]; !had && account.Disabled { // a certificate let its user in
			changed = append(changed, name)
		}
	}
	a.accounts = next
	revoked := a.revoked
	a.mu.Unlock()
	if revoked == nil {
		return
	}
	for _, name := range changed {
		revoked(name)
	}
}

// Watch implements Authenticator.
func (a *Accounts) Watch(revoked func(username string), changed func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked, a.changed = revoked, changed
}

// SetPolicy makes p what clients may do, those that are connected too; nil is everything.
func (a *Accounts) SetPolicy(p *access.Policy) {
	a.mu.Lock()
	same := a.policy.Swap(p) == p
	changed := a.changed
	a.mu.Unlock()
	if changed != nil && !same {
		changed()
	}
}

// Policy implements Authenticator.
func (a *Accounts) Policy() *access.Policy { return a.policy.Load() }

// Explain tells whether a client could read or write a topic, and why; see access.Policy.
func (a *Accounts) Explain(q access.Question) (access.Answer, error) { return a.Policy().Explain(q) }

// Certified implements Authenticator. The certificate stands for the password, so
// a user needs no account; one whose account is disabled stays out.
func (a *Accounts) Certified(l Login) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accounts[l.Username].Disabled {
		return ErrNotAuthorized
	}
	return nil
}

// Authenticate implements Authenticator. An unknown user takes as long as a wrong
// password. Wrong passwords are limited per address: see throttle.
func (a *Accounts) Authenticate(l Login) error {
	mayTry, mayHash := a.failures.look(l.From, l.Username, time.Now())
	if !mayTry {
		return ErrTooMany
	}
	a.mu.Lock()
	account, known := a.accounts[l.Username]
	sum := a.sum(account, l.Password)
	a.mu.Unlock()
	switch {
	case !known:
		account.PasswordHash = nobody // of no account: it will not be remembered
	case account.Disabled:
		return ErrNotAuthorized
	case a.isRight(l.Username, sum):
		return nil
	}
	if !mayHash {
		a.failures.failed(l.From, l.Username, false, time.Now()) // it must not be a way to guess without end
		return ErrTooMany
	}
	err := a.verify(l, account, sum)
	if !known && err == nil {
		err = ErrCredentials
	}
	if errors.Is(err, ErrCredentials) {
		a.failures.failed(l.From, l.Username, true, time.Now())
	}
	return err
}

// verify hashes the password, once for all who wait for the same.
func (a *Accounts) verify(l Login, account Account, sum [sha256.Size]byte) error {
	_, err, _ := a.flight.Do(string(sum[:])+l.From.String(), func() (any, error) {
		a.slots <- struct{}{}
		defer func() { <-a.slots }()
		if a.isRight(l.Username, sum) { // another address has shown it meanwhile
			return nil, nil
		}
		if _, mayHash := a.failures.look(l.From, l.Username, time.Now()); !mayHash { // others failed while it waited
			return nil, ErrTooMany
		}
		a.hashed.Add(1)
		err := VerifyPassword(account.PasswordHash, string(l.Password))
		if err == nil {
			a.remember(account, sum) // before the next one takes the place
		}
		return nil, err
	})
	return err
}

// nobody is a hash that no password is known for: its salt and key are random bytes.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$+q4GxjRzhPElUz7etv9h5w$y1sYzSqMk58UeEUwUoTydTPcLvzkvRaGdvBquvzY+SY"

// isRight tells whether that password was right before.
func (a *Accounts) isRight(username string, sum [sha256.Size]byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	verified, seen := a.verified[username]
	return seen && hmac.Equal(sum[:], verified[:])
}

// remember notes a right password, unless the account changed while it was checked.
func (a *Accounts) remember(account Account, sum [sha256.Size]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accounts[account.Username] == account {
		a.verified[account.Username] = sum
	}
}

// sum is what is remembered of a password: nothing without the key, which never leaves the process.
func (a *Accounts) sum(account Account, password []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, a.key[:])
	for _, part := range []string{account.Username, account.PasswordHash, string(password)} {
		h.Write([]byte{byte(len(part) >> 16), byte(len(part) >> 8), byte(len(part))})
		h.Write([]byte(part))
	}
	h.Sum(sum[:0])
	return sum
}
