// Package source holds what the parts under it share: apron's own key pair as HTTP basic authentication, the address at
// which apron itself answers, and connections that may not stall.
//
// The parts are: git (branch -> commit -> folder), connection (the credentials that git asks with), registry (tag ->
// digest, and a resolver to pull with), gitserver and registryserver (the repositories and images that users push to apron
// itself). They do not import each other; what one needs of another is an interface that app fills.
package source
