package broker

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"

	"golang.org/x/sync/singleflight"
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
func (a *Accounts) Watch(revoked func(username string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked = revoked
}

// Certified implements Authenticator. The certificate stands for the password, so
// a user needs no account; one whose account is disabled stays out.
func (a *Accounts) Certified(_, username string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accounts[username].Disabled {
		return ErrNotAuthorized
	}
	return nil
}

// Authenticate implements Authenticator. An unknown user takes as long as a wrong password.
func (a *Accounts) Authenticate(_, username string, password []byte) error {
	a.mu.Lock()
	account, known := a.accounts[username]
	sum := a.sum(account, password)
	verified, seen := a.verified[username]
	a.mu.Unlock()
	switch {
	case !known:
		account.PasswordHash = nobody
	case account.Disabled:
		return ErrNotAuthorized
	case seen && hmac.Equal(sum[:], verified[:]):
		return nil
	}
	_, err, _ := a.flight.Do(string(sum[:]), func() (any, error) {
		a.slots <- struct{}{}
		defer func() { <-a.slots }()
		return nil, VerifyPassword(account.PasswordHash, string(password))
	})
	if !known {
		return ErrCredentials
	}
	if err == nil {
		a.remember(account, sum)
	}
	return err
}

// nobody is a hash that no password is known for: its salt and key are random bytes.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$+q4GxjRzhPElUz7etv9h5w$y1sYzSqMk58UeEUwUoTydTPcLvzkvRaGdvBquvzY+SY"

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
