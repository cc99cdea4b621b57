package broker

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of a new hash: argon2id with 19 MiB, 2 passes, 1 lane.
const (
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	hashLanes  = 1
	saltBytes  = 16
	keyBytes   = 32
)

// What a stored hash may cost at most: it may come from a foreign backup.
const (
	hashMemoryMost = 64 << 10 // KiB
	hashPassesMost = 10
	hashLanesMost  = 4
)

// maxPassword is the longest password in bytes, as MQTT carries it.
const maxPassword = 65535

var errHash = errors.New("stored password hash is not an argon2id PHC string")

// HashPassword gives the argon2id hash of a password of 1 to 65,535 bytes as a
// PHC string. It takes 19 MiB and some ten milliseconds.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", fmt.Errorf("password must have 1 to %d bytes", maxPassword)
	}
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	key := argon2.IDKey([]byte(password), salt, hashPasses, hashMemory, hashLanes, keyBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashPasses, hashLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// VerifyPassword gives nil when the password belongs to the hash, ErrCredentials
// when it does not, and another error for a hash that is none.
func VerifyPassword(hash, password string) error {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return errHash
	}
	var memory, passes uint32
	var lanes uint8
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); n != 3 || err != nil {
		return errHash
	}
	if passes < 1 || passes > hashPassesMost || lanes < 1 || lanes > hashLanesMost || memory < 8*uint32(lanes) || memory > hashMemoryMost {
		return errHash
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return errHash
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) < 16 || len(want) > 64 {
		return errHash
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, lanes, uint32(len(want)))
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return ErrCredentials
	}
	return nil
}
