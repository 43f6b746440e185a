package build

import (
	"context"
	"time"
)

// roomEvery is how often a build's disk is looked at: a fast disk takes some hundred MB meanwhile.
const roomEvery = 100 * time.Millisecond

// whileThereIsRoom returns a context that ends, with the reason, once the disk is too full for the build to go on.
func (b *Builder) whileThereIsRoom(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if b.config.Room != nil {
		go func() {
			ticker := time.NewTicker(roomEvery)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
				if err := b.config.Room(); err != nil {
					cancel(err)
					return
				}
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}
