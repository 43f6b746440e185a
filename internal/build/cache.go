package build

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/buildkit/client"

	"github.com/apron-run/apron/internal/platform"
)

// What a build keeps for the next one is of two kinds: the layers that its steps made, and the folders that cache mounts keep
// for package managers. A build may write anything into such a folder, and so decide what a later step makes of it. So both are
// of one service alone: a folder's name has the service's id in it, and so has the name of the machine that a step sees, which is
// part of what its layer is known by. (BuildKit does not look at a folder's name when it compares steps.)

// hostname is the machine's name in the steps of a service.
func hostname(service platform.ServiceID) string { return string(service) }

// forgetTimeout bounds Forget; it takes milliseconds.
const forgetTimeout = 20 * time.Second

// Forget removes the folders of a service that is no more. Its layers go when there is no room for them.
func (b *Builder) Forget(ctx context.Context, service platform.ServiceID) error {
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	conn, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ofService := fmt.Sprintf("type==%s,description~=%q", client.UsageRecordTypeCacheMount, service)
	if err := conn.Prune(ctx, nil, client.WithFilter([]string{ofService})); err != nil {
		return fmt.Errorf("remove the build caches of service %s: %w", service, err)
	}
	return nil
}
