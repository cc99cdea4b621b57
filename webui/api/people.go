package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"fieldgate/internal/fault"
)

// Buckets of the store.
const (
	userBucket    = "users"    // by name
	sessionBucket = "sessions" // by the hash of the cookie
	tokenBucket   = "tokens"   // by the hash of the token
	setupBucket   = "setup"    // "code"
)

const (
	sessionLife  = 30 * 24 * time.Hour // since it was last renewed
	sessionRenew = 24 * time.Hour      // a session is written at most that often
	maxSessions  = 256                 // of all people
	maxUsers     = 256
	maxTokens    = 256
	maxHashing   = 2 // passwords at once: each takes 19 MiB
	minPassword  = 8 // characters
	maxPassword  = 256
	tokenPrefix  = "fg_"
)

// person is a user as the store keeps it.
type person struct {
	Name     string    `json:"name"`
	Role     Role      `json:"role"`
	Language string    `json:"language"`
	Hash     string    `json:"hash"`
	Created  time.Time `json:"created"`
	Epoch    string    `json:"epoch"` // changes with the password; sessions of another epoch are over
}

// people are the users, their sessions and the API tokens.
type people struct {
	store     Store
	passwords Passwords
	hashing   chan struct{} // a place per password being hashed

	mu sync.Mutex // held over a change of users: the last administrator stays

	decoyMu sync.Mutex
	decoy   string // the hash that stands in for unknown users, so that they take as long
}

func load[T any](s Store, bucket, key string) (T, error) {
	var v T
	b, err := s.Get(bucket, key)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("read %s %q: %w", bucket, key, err)
	}
	return v, nil
}

func save(s Store, bucket, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Put(bucket, key, b)
}

// loadAll gives a bucket's values; one that can't be read is left out.
func loadAll[T any](s Store, bucket string) (map[string]T, error) {
	all, err := s.List(bucket)
	if err != nil {
		return nil, err
	}
	values := make(map[string]T, len(all))
	for key, b := range all {
		var v T
		if json.Unmarshal(b, &v) == nil {
			values[key] = v
		}
	}
	return values, nil
}

// check gives the person with that name and password; Unauthorized when there is none.
func (p *people) check(ctx context.Context, name, password string) (person, error) {
	u, err := load[person](p.store, userBucket, name)
	if err != nil && !isNotFound(err) {
		return person{}, err
	}
	known := err == nil
	hash := u.Hash
	if !known {
		if hash, err = p.decoyHash(ctx); err != nil {
			return person{}, err
		}
	}
	right, err := p.verify(ctx, hash, password)
	if err != nil {
		return person{}, err
	}
	if !known || !right {
		return person{}, fault.New(fault.Unauthorized, "the name or the password is wrong")
	}
	return u, nil
}

func (p *people) decoyHash(ctx context.Context) (string, error) {
	p.decoyMu.Lock()
	defer p.decoyMu.Unlock()
	if p.decoy != "" {
		return p.decoy, nil
	}
	hash, err := p.hash(ctx, secret())
	p.decoy = hash
	return hash, err
}

func (p *people) hash(ctx context.Context, password string) (string, error) {
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	defer p.leave()
	return p.passwords.Hash(password)
}

func (p *people) verify(ctx context.Context, hash, password string) (bool, error) {
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	defer p.leave()
	return p.passwords.Verify(hash, password)
}

func (p *people) enter(ctx context.Context) error {
	select {
	case p.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *people) leave() { <-p.hashing }

// create adds a person; the name must be free.
func (p *people) create(ctx context.Context, u person, password string) (person, error) {
	return p.add(ctx, u, password, func(all map[string][]byte) error {
		for name := range all {
			if strings.EqualFold(name, u.Name) {
				return fault.At("/name", fault.Conflict, "is the name of another person")
			}
		}
		if len(all) >= maxUsers {
			return fault.New(fault.Conflict, "there are %d people already", maxUsers)
		}
		return nil
	})
}

// claim adds the first person and forgets the setup code; Conflict when there is one already.
func (p *people) claim(ctx context.Context, u person, password string) (person, error) {
	u, err := p.add(ctx, u, password, func(all map[string][]byte) error {
		if len(all) > 0 {
			return fault.New(fault.Conflict, "the gateway has an administrator already; log in")
		}
		return nil
	})
	if err != nil {
		return u, err
	}
	return u, p.store.Delete(setupBucket, "code")
}

func (p *people) add(ctx context.Context, u person, password string, allowed func(all map[string][]byte) error) (person, error) {
	var err error
	if u.Hash, err = p.hash(ctx, password); err != nil {
		return person{}, err
	}
	u.Created, u.Epoch = time.Now().UTC(), secret()
	p.mu.Lock()
	defer p.mu.Unlock()
	all, err := p.store.List(userBucket)
	if err != nil {
		return person{}, err
	}
	if err := allowed(all); err != nil {
		return person{}, err
	}
	return u, save(p.store, userBucket, u.Name, u)
}

// change edits a person; edit may refuse. There is always an administrator left.
func (p *people) change(name string, edit func(*person) error) (person, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, err := p.get(name)
	if err != nil {
		return person{}, err
	}
	was := u.Role
	if err := edit(&u); err != nil {
		return person{}, err
	}
	if was == Admin && u.Role != Admin {
		if err := p.othersAdminister(name); err != nil {
			return person{}, err
		}
	}
	return u, save(p.store, userBucket, name, u)
}

func (p *people) remove(name string, allowed func(person) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, err := p.get(name)
	if err != nil {
		return err
	}
	if err := allowed(u); err != nil {
		return err
	}
	if u.Role == Admin {
		if err := p.othersAdminister(name); err != nil {
			return err
		}
	}
	return p.store.Delete(userBucket, name)
}

func (p *people) get(name string) (person, error) {
	u, err := load[person](p.store, userBucket, name)
	if isNotFound(err) {
		return u, fault.New(fault.NotFound, "there is no user of that name")
	}
	return u, err
}

func (p *people) othersAdminister(name string) error {
	all, err := loadAll[person](p.store, userBucket)
	if err != nil {
		return err
	}
	for other, u := range all {
		if other != name && u.Role == Admin {
			return nil
		}
	}
	return fault.New(fault.Conflict, "the last administrator must stay")
}

// claimed tells whether anybody can log in.
func (p *people) claimed() (bool, error) {
	all, err := p.store.List(userBucket)
	return len(all) > 0, err
}

// prepareSetup makes the setup code at the first start.
func (p *people) prepareSetup() error {
	claimed, err := p.claimed()
	if err != nil || claimed {
		return err
	}
	if _, err := p.store.Get(setupBucket, "code"); !isNotFound(err) {
		return err
	}
	n, err := rand.Int(rand.Reader, big.NewInt(100_000_000))
	if err != nil {
		return err
	}
	digits := fmt.Sprintf("%08d", n)
	return p.store.Put(setupBucket, "code", []byte(digits[:4]+"-"+digits[4:]))
}

// rightCode compares a setup code; only its digits count.
func (p *people) rightCode(code string) (bool, error) {
	want, err := p.store.Get(setupBucket, "code")
	if isNotFound(err) {
		return false, nil
	}
	return subtle.ConstantTimeCompare([]byte(digitsOf(code)), []byte(digitsOf(string(want)))) == 1, err
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
