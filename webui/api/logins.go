package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"time"
)

// session is a login as the store keeps it.
type session struct {
	User    string    `json:"user"`
	Epoch   string    `json:"epoch"`
	Renewed time.Time `json:"renewed"`
}

// token is an API token as the store keeps it, without its secret.
type token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Author  string    `json:"author"`
	Created time.Time `json:"created"`
}

// secret makes a random text of 256 bits.
func secret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails, see its documentation
	return base64.RawURLEncoding.EncodeToString(b)
}

// hashed is the key under which a secret is kept. The secret is random, so a plain hash is enough.
func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// bySession gives the caller of a cookie, nobody for a session that is over.
func (p *people) bySession(cookie string) (caller, error) {
	key := hashed(cookie)
	s, err := load[session](p.store, sessionBucket, key)
	if isNotFound(err) {
		return caller{}, nil
	}
	if err != nil {
		return caller{}, err
	}
	u, err := load[person](p.store, userBucket, s.User)
	if err != nil && !isNotFound(err) {
		return caller{}, err
	}
	age := time.Since(s.Renewed)
	if err != nil || u.Epoch != s.Epoch || age > sessionLife {
		_ = p.logout(key) // one that stays for a fault of the disk is over all the same
		return caller{}, nil
	}
	if age > sessionRenew || age < 0 { // below 0: the clock was ahead when it was renewed
		s.Renewed = time.Now()
		_ = save(p.store, sessionBucket, key, s) // on a full disk it goes on as it is: the page is up last
	}
	return caller{name: u.Name, role: u.Role, session: key}, nil
}

// byToken gives the caller of an API token, nobody for one that is not known.
func (p *people) byToken(text string) (caller, error) {
	t, err := load[token](p.store, tokenBucket, hashed(text))
	if isNotFound(err) {
		return caller{}, nil
	}
	if err != nil {
		return caller{}, err
	}
	return caller{name: "token:" + t.Name, role: t.Role}, nil
}

// login opens a session and gives the cookie's value.
func (p *people) login(u person) (string, error) {
	if err := p.trimSessions(); err != nil {
		return "", err
	}
	cookie := secret()
	return cookie, save(p.store, sessionBucket, hashed(cookie), session{User: u.Name, Epoch: u.Epoch, Renewed: time.Now()})
}

func (p *people) logout(key string) error {
	return p.store.Delete(sessionBucket, key)
}

// trimSessions removes sessions that are over, and the oldest when there are too many.
func (p *people) trimSessions() error {
	all, err := loadAll[session](p.store, sessionBucket)
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return all[b].Renewed.Compare(all[a].Renewed) })
	for i, key := range keys {
		if i >= maxSessions-1 || time.Since(all[key].Renewed) > sessionLife {
			if err := p.logout(key); err != nil {
				return err
			}
		}
	}
	return nil
}
