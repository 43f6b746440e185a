// Package secret seals what must not lie in the database as it is, such as the credentials of connections: AES-256-GCM
// under one key, which lies in a file of its own beside the database. A copy of the database alone opens nothing.
//
// A sealed value is bound to its purpose, the name of what it belongs to: copied to another row it does not open. The
// package neither reads the key's file nor knows what is sealed; internal/app brings the two together.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// KeyBytes is the length of a key.
const KeyBytes = 32

// ErrNotOpened says that a value was sealed with another key or for another purpose, or was changed since.
var ErrNotOpened = errors.New("the sealed value does not open: it is another key's or another purpose's, or was changed")

// version precedes every sealed value, so that a later form can be told apart.
const version = 1

// Box seals and opens. It is safe for concurrent use, and prints nothing of its key.
type Box struct{ aead cipher.AEAD }

// New returns a Box with a key of KeyBytes random bytes.
func New(key []byte) (*Box, error) {
	if len(key) != KeyBytes {
		return nil, fmt.Errorf("the key of secrets has %d bytes, want %d", len(key), KeyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	// Random nonces of 96 bits are safe for 2^32 values (SP 800-38D, 8.3): one a second for 136 years.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Box{aead}, nil
}

// Seal returns what only this key opens again, and only for the same purpose. Sealing twice gives two different values.
func (b *Box) Seal(purpose string, plain []byte) []byte {
	return b.aead.Seal([]byte{version}, nil, plain, []byte(purpose))
}

// Open returns what was sealed for the purpose. ErrNotOpened.
func (b *Box) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != version {
		return nil, ErrNotOpened
	}
	plain, err := b.aead.Open(nil, nil, sealed[1:], []byte(purpose))
	if err != nil {
		return nil, ErrNotOpened
	}
	return plain, nil
}

// String and GoString keep the key out of whatever prints a Box.
func (b *Box) String() string   { return "secret.Box" }
func (b *Box) GoString() string { return b.String() }
