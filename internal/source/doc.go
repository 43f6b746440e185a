// Package source holds what the parts under it share: apron's own key pair as HTTP basic authentication, the address at
// which apron itself answers, and connections that may not stall.
//
// The parts are: git (branch -> commit -> folder), connection (the credentials that git asks with), registry (tag ->
// digest, and a resolver to pull with), gitserver and registryserver (the repositories and images that users push to apron
// itself), webhook (what other hosts tell of pushes) and watch (what is deployed because of all that). They do not import
// each other; what one needs of another is an interface that app fills.
package source

import "errors"

// ErrNoBranch says that a repository was read and does not have the branch.
var ErrNoBranch = errors.New("there is no such branch")
