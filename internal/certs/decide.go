package certs

import (
	"slices"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// validateWithin is how long a domain's records may take to appear (AWS Certificate Manager: 72 hours).
	validateWithin = 72 * time.Hour
	// unknownFor is how much longer a domain waits while DNS does not answer: a machine that was off for days may have no
	// network in its first seconds.
	unknownFor = 24 * time.Hour
)

// Sight is what DNS knows of a validation record.
type Sight int

const (
	// SightUnknown says that DNS did not answer.
	SightUnknown Sight = iota
	// SightAbsent says that the record is not there, or leads elsewhere.
	SightAbsent
	// SightSeen says that the record is there.
	SightSeen
)

// Evidence is what was found out about a domain.
type Evidence struct {
	// Fresh are the records for a domain that has none yet.
	Fresh []platform.ValidationRecord
	// Seen says what DNS knows of each record; nil when it was not asked.
	Seen []Sight
	// InForce is the status of the domain from which the routes in force were made; empty when they may be older.
	InForce platform.DomainStatus
}

// Decide returns the domain as evidence makes it, which is the same domain when there is nothing to do. isGone says that
// nothing is left of it.
func Decide(now time.Time, domain platform.CustomDomain, evidence Evidence) (next platform.CustomDomain, isGone bool) {
	next = domain.Clone()
	switch domain.Status {
	case platform.DomainStatusCreating:
		switch {
		case isReserved(domain.Name):
			next.Status = platform.DomainStatusCreateFailed
		case len(evidence.Fresh) > 0:
			next.Status, next.Records = platform.DomainStatusPendingValidation, slices.Clone(evidence.Fresh)
		}
	case platform.DomainStatusPendingValidation:
		if len(evidence.Seen) == len(domain.Records) && len(domain.Records) > 0 {
			validate(now, &next, evidence.Seen)
		}
	case platform.DomainStatusBinding:
		if evidence.InForce == platform.DomainStatusBinding {
			next.Status = platform.DomainStatusActive
		}
	case platform.DomainStatusDeleting:
		isGone = evidence.InForce == platform.DomainStatusDeleting
	}
	if next.Status != domain.Status {
		next.UpdatedAt = now
	}
	return next, isGone
}

// validate marks the records that were seen. A record that was seen once stays validated.
func validate(now time.Time, domain *platform.CustomDomain, seen []Sight) {
	limit := validateWithin
	hasAll := true
	for i := range domain.Records {
		record := &domain.Records[i]
		record.IsValidated = record.IsValidated || seen[i] == SightSeen
		hasAll = hasAll && record.IsValidated
		if !record.IsValidated && seen[i] == SightUnknown {
			limit = validateWithin + unknownFor
		}
	}
	switch {
	case hasAll:
		domain.Status = platform.DomainStatusBinding
	case now.Sub(domain.CreatedAt) >= limit:
		domain.Status = platform.DomainStatusCreateFailed
		for i := range domain.Records {
			domain.Records[i].IsFailed = !domain.Records[i].IsValidated
		}
	}
}

// isReserved says whether a name is kept for documentation (RFC 2606), so that nobody owns it. What is below
// example.com and its like is not refused: App Runner is known to refuse the name itself only.
func isReserved(name string) bool {
	base := strings.TrimPrefix(name, "*.")
	return slices.Contains([]string{"example.com", "example.net", "example.org"}, base) || strings.HasSuffix(base, ".example")
}

const (
	shortestPause, longestPause = time.Second, 5 * time.Minute
)

// pauseAfter is how long DNS is left alone about a domain that has waited for age: an eighth of it, so that a record is
// noticed at once by who has just made it, and costs little while nobody does. spread, from 0 up to 1, lengthens or
// shortens it by up to a fifth.
func pauseAfter(age time.Duration, spread float64) time.Duration {
	pause := min(max(age/8, shortestPause), longestPause)
	return time.Duration(float64(pause) * (0.8 + 0.4*spread))
}
