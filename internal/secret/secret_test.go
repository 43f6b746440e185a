package secret_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/apron-run/apron/internal/secret"
)

var (
	key   = bytes.Repeat([]byte("k"), secret.KeyBytes)
	other = bytes.Repeat([]byte("o"), secret.KeyBytes)
)

func newBox(t testing.TB, key []byte) *secret.Box {
	t.Helper()
	box, err := secret.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestWhatIsSealedOpensForItsPurposeAlone(t *testing.T) {
	box := newBox(t, key)
	rapid.Check(t, func(t *rapid.T) {
		purpose, plain := rapid.String().Draw(t, "purpose"), rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed := box.Seal(purpose, plain)
		if opened, err := box.Open(purpose, sealed); err != nil || !bytes.Equal(opened, plain) {
			t.Errorf("opened %q, %v; want %q", opened, err, plain)
		}
		if opened, err := box.Open(purpose+"2", sealed); !errors.Is(err, secret.ErrNotOpened) {
			t.Errorf("for another purpose it opens as %q, %v", opened, err)
		}
		if bytes.Equal(sealed, box.Seal(purpose, plain)) {
			t.Error("sealed twice it is the same: whoever reads both knows that the secrets are")
		}
		if len(plain) >= 4 && bytes.Contains(sealed, plain) {
			t.Errorf("%q can be read in %q", plain, sealed)
		}
	})
}

func TestWhatWasChangedDoesNotOpen(t *testing.T) {
	box := newBox(t, key)
	sealed := box.Seal("purpose", []byte("a secret"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if opened, err := box.Open("purpose", changed); !errors.Is(err, secret.ErrNotOpened) {
			t.Errorf("with byte %d changed it opens as %q, %v", i, opened, err)
		}
		if opened, err := box.Open("purpose", sealed[:i]); !errors.Is(err, secret.ErrNotOpened) {
			t.Errorf("cut to %d bytes it opens as %q, %v", i, opened, err)
		}
	}
	if opened, err := newBox(t, other).Open("purpose", sealed); !errors.Is(err, secret.ErrNotOpened) {
		t.Errorf("another key opens it as %q, %v", opened, err)
	}
}

func TestAKeyHas32BytesAndIsNotPrinted(t *testing.T) {
	for _, length := range []int{0, 16, 31, 33} {
		if _, err := secret.New(make([]byte, length)); err == nil {
			t.Errorf("a key of %d bytes is taken", length)
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v %s", newBox(t, key), newBox(t, key), newBox(t, key), newBox(t, key)); bytes.Contains([]byte(printed), []byte("kkk")) || bytes.Contains([]byte(printed), []byte("107, 107")) {
		t.Errorf("a Box prints as %s", printed)
	}
}
