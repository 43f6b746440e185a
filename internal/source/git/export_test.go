package git

import "time"

// SetRetries shortens the waits between tries.
func SetRetries(r *Repositories, waits ...time.Duration) { r.retryAfter = waits }

// Parse takes a URL apart: what git gets as argument, and what people see.
func Parse(r *Repositories, url string) (argument, shown string, err error) {
	from, err := r.parse(url)
	return from.argument, from.shown, err
}

// IsBranchName exports isBranchName.
func IsBranchName(name string) bool { return isBranchName(name) }
