package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	// MaxBytes is the limit of a value (Secrets Manager: 65,536 bytes).
	MaxBytes = 64 << 10
	// MaxSecrets bounds how many there are.
	MaxSecrets = 1000
	// maxSealed bounds what a deployment reads in all: the kernel takes no larger environment.
	maxSealed = 1 << 20
)

// ErrTooMany says that there are MaxSecrets already.
var ErrTooMany = fmt.Errorf("there are %d secrets, and no more are kept", MaxSecrets)

// Vault keeps named values, sealed in the store, and answers references to them. It is safe for concurrent use.
type Vault struct {
	Box   *Box
	Store store.Resources
	// ARN makes an ARN of a resource's path.
	ARN func(path string) string
	Now func() time.Time
}

// Put stores a value under a name, in place of the one that was there. It returns the secret without its value.
func (v *Vault) Put(ctx context.Context, name, value string) (platform.Resource, error) {
	if err := CheckName(name); err != nil {
		return platform.Resource{}, err
	}
	for {
		replaced, err := v.replace(ctx, name, value)
		if err != nil || replaced.ID != "" {
			return replaced, err
		}
		created, err := v.create(ctx, name, value)
		if !errors.Is(err, store.ErrConflict) { // else another made it a moment ago
			return created, err
		}
	}
}

func (v *Vault) replace(ctx context.Context, name, value string) (platform.Resource, error) {
	var replaced platform.Resource
	err := v.Store.EditResources(ctx, query(name), func(found []platform.Resource) error {
		for i := range found {
			found[i].Detail.Secret = v.detail(found[i].ID, value)
			replaced = found[i].Clone()
		}
		return nil
	})
	return replaced, err
}

func (v *Vault) create(ctx context.Context, name, value string) (platform.Resource, error) {
	id := platform.NewResourceID()
	resource := platform.Resource{
		ID: id, Kind: platform.ResourceSecret, Name: plainName(name), Revision: 1, Status: "ACTIVE",
		CreatedAt: v.Now().UTC(), Detail: platform.ResourceDetail{Secret: v.detail(id, value)},
	}
	resource.ARN = v.ARN(resource.Path())
	return v.Store.CreateResource(ctx, resource.Kind, resource.Name, func(existing store.Existing) (platform.Resource, error) {
		switch {
		case existing.Revisions > 0:
			return platform.Resource{}, store.ErrConflict
		case existing.Names >= MaxSecrets:
			return platform.Resource{}, ErrTooMany
		}
		return resource, nil
	})
}

func (v *Vault) detail(id platform.ResourceID, value string) *platform.SecretDetail {
	return &platform.SecretDetail{Sealed: v.Box.Seal(purpose(id), []byte(value)), ChangedAt: v.Now().UTC()}
}

func query(name string) store.ResourceQuery {
	return store.ResourceQuery{Kind: platform.ResourceSecret, Name: plainName(name)}
}

func purpose(id platform.ResourceID) string { return "secret/" + string(id) }

// List returns all secrets without their values, in order of creation.
func (v *Vault) List(ctx context.Context) ([]platform.Resource, error) {
	return v.Store.ListResources(ctx, store.ResourceQuery{Kind: platform.ResourceSecret})
}

// Delete forgets a secret, with its value. store.ErrNotFound.
func (v *Vault) Delete(ctx context.Context, name string) (platform.Resource, error) {
	var deleted platform.Resource
	err := v.Store.EditResources(ctx, query(name), func(found []platform.Resource) error {
		for i := range found {
			found[i].Status, found[i].DeletedAt = "DELETED", new(v.Now().UTC())
			found[i].Detail.Secret.Sealed = nil
			deleted = found[i].Clone()
		}
		return nil
	})
	if err == nil && deleted.ID == "" {
		err = store.ErrNotFound
	}
	return deleted, err
}

// Value returns what a reference stands for. A *platform.ExplainedError when there is no such secret, or no such key in it.
func (v *Vault) Value(ctx context.Context, text string) (string, error) {
	reference, err := ParseReference(text)
	if err != nil {
		return "", platform.Explain(nil, "the reference %s", err).Try("correct it")
	}
	for _, name := range reference.names() {
		found, err := v.Store.ListResources(ctx, query(name))
		if err != nil {
			return "", fmt.Errorf("read the secret %s: %w", name, err)
		}
		if len(found) == 0 {
			continue
		}
		return v.open(found[0], reference.Key)
	}
	return "", platform.Explain(nil, "there is no secret %s", reference.Name).
		Try("store it with `apron secret put %s`, and deploy again", reference.putName())
}

func (v *Vault) open(secret platform.Resource, key string) (string, error) {
	value, err := v.Box.Open(purpose(secret.ID), secret.Detail.Secret.Sealed)
	if err != nil {
		return "", platform.Explain(err, "the secret %s cannot be opened with the key of this data directory", secret.Name).
			Try("put back secrets.key as it was when it was stored, or store it again with `apron secret put %s`", secret.Name)
	}
	if key == "" {
		return string(value), nil
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(value, &members); err != nil {
		return "", platform.Explain(nil, "the secret %s is no JSON object, so it has no key %q", secret.Name, key).
			Try("store an object with `apron secret put %s`, or leave the key out of the reference", secret.Name)
	}
	raw, ok := members[key]
	if !ok {
		return "", platform.Explain(nil, "the secret %s has no key %q", secret.Name, key).
			Try("store it with that key with `apron secret put %s`, or correct the reference", secret.Name)
	}
	var member string
	if err := json.Unmarshal(raw, &member); err != nil {
		return string(raw), nil // a number, say: its JSON is its text
	}
	return member, nil
}

// Seal reads what variables refer to and seals it for a revision: App Runner reads secrets once, when it deploys. The error
// is a *platform.ExplainedError with the variable's name, where a person can help.
func (v *Vault) Seal(ctx context.Context, revision platform.RevisionID, references map[string]string) ([]byte, error) {
	if len(references) == 0 {
		return nil, nil
	}
	values, err := v.read(ctx, references)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(values)
	if err != nil {
		return nil, errors.New("the secrets have no form to keep them in")
	}
	if len(plain) > maxSealed {
		return nil, platform.Explain(nil, "the secrets of the service have %d bytes in all, more than %d", len(plain), maxSealed).
			Try("let the app read the large ones from elsewhere")
	}
	return v.Box.Seal(revisionPurpose(revision), plain), nil
}

func (v *Vault) read(ctx context.Context, references map[string]string) (map[string]string, error) {
	values := make(map[string]string, len(references))
	for _, variable := range slices.Sorted(maps.Keys(references)) {
		value, err := v.Value(ctx, references[variable])
		if why := platform.AsExplained(err); why != nil {
			return nil, platform.Explain(err, "the secret for the variable %s cannot be read: %s", variable, why.Cause).Try("%s", why.Remedy)
		}
		if err != nil {
			return nil, err
		}
		if strings.Contains(value, "\x00") {
			return nil, platform.Explain(nil, "the secret for the variable %s has a NUL byte, which no variable can hold", variable).
				Try("store it as text, such as base64")
		}
		values[variable] = value
	}
	return values, nil
}

// Open returns the values of a revision's variables.
func (v *Vault) Open(revision platform.RevisionID, sealed []byte) (map[string]string, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	plain, err := v.Box.Open(revisionPurpose(revision), sealed)
	if err != nil {
		return nil, platform.Explain(err, "the secrets of the revision cannot be opened with the key of this data directory").
			Try("put back secrets.key as it was when the service was deployed, or deploy again")
	}
	values := map[string]string{}
	if err := json.Unmarshal(plain, &values); err != nil {
		return nil, errors.New("the secrets of the revision are not in their form")
	}
	return values, nil
}

func revisionPurpose(revision platform.RevisionID) string { return "revision/" + string(revision) }
