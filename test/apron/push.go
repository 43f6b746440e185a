package apron

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Push pushes an image to the embedded registry, as `crane push` does.
func (a *Apron) Push(t testing.TB, tag string, image v1.Image) {
	t.Helper()
	keys, err := a.Keys()
	if err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(a.API + "/" + tag)
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: keys.AccessKeyID, Password: keys.SecretAccessKey})
	if err := remote.Write(reference, image, auth); err != nil {
		t.Fatalf("push %s: %v", tag, err)
	}
}
