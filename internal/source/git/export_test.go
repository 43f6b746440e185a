package git

import "time"

// SetRetries shortens the waits between tries.
func SetRetries(r *Repositories, waits ...time.Duration) { r.retryAfter = waits }
