package sample

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
)

// noise returns endless bytes that do not compress and that are the same for the same seed.
func noise(seed string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }
