package secret_test

import (
	"context"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// limitedStore says that there are names names, when that is not 0.
type limitedStore struct {
	store.Resources
	names int
}

func (s *limitedStore) CreateResource(ctx context.Context, kind platform.ResourceKind, name string,
	make func(store.Existing) (platform.Resource, error)) (platform.Resource, error) {
	return s.Resources.CreateResource(ctx, kind, name, func(existing store.Existing) (platform.Resource, error) {
		if s.names > 0 {
			existing.Names = s.names
		}
		return make(existing)
	})
}
