package containerd

import (
	"context"

	"github.com/apron-run/apron/internal/compute"
)

// Prepare is a Start that is cut short before the app begins.
func (b *Backend) Prepare(ctx context.Context, spec compute.InstanceSpec) error {
	_, err := b.prepare(ctx, spec)
	return err
}
