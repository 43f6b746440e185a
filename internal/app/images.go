package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// neededImages returns the digests of images that services name by digest, or that their operations have resolved and not
// pulled yet: the embedded registry keeps them although no tag may name them any more. What was deployed is in the backend.
func neededImages(db store.Store) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		services, err := db.ListServices(ctx, store.ServicePage{})
		if err != nil {
			return nil, fmt.Errorf("list services: %w", err)
		}
		var digests []string
		need := func(reference string) {
			if _, digest, ok := strings.Cut(reference, "@"); ok {
				digests = append(digests, digest)
			}
		}
		for _, service := range services {
			if image := service.Configuration.Source.Image; image != nil {
				need(image.Identifier)
			}
			if service.Status != platform.ServiceStatusOperationInProgress {
				continue
			}
			operations, err := db.ListOperations(ctx, service.ID, store.OperationPage{Limit: 1})
			if err != nil {
				return nil, fmt.Errorf("list operations: %w", err)
			}
			for _, operation := range operations {
				need(operation.Progress.ImageReference)
				if operation.Previous != nil && operation.Previous.Configuration.Source.Image != nil {
					need(operation.Previous.Configuration.Source.Image.Identifier)
				}
			}
		}
		return digests, nil
	}
}
