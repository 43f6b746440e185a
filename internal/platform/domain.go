package platform

import (
	"slices"
	"strings"
	"time"
)

// DomainStatus is the life of a CustomDomain; in lower case, as App Runner answers it.
type DomainStatus string

const (
	DomainStatusCreating          DomainStatus = "creating"
	DomainStatusCreateFailed      DomainStatus = "create_failed"
	DomainStatusPendingValidation DomainStatus = "pending_certificate_dns_validation"
	DomainStatusBinding           DomainStatus = "binding_certificate"
	DomainStatusActive            DomainStatus = "active"
	DomainStatusDeleting          DomainStatus = "deleting"
	DomainStatusDeleteFailed      DomainStatus = "delete_failed"
)

// CustomDomain is a name of the customer's that a service answers to.
type CustomDomain struct {
	ID        ResourceID
	ServiceID ServiceID
	// Name is in lower case, without a final dot; a wildcard begins with "*.".
	Name string
	// HasWWW adds the name with www. before it.
	HasWWW    bool
	Status    DomainStatus
	CreatedAt time.Time
	UpdatedAt time.Time
	// Records prove who owns the domain. None while it is being created.
	Records []ValidationRecord
}

// ValidationRecord is a CNAME record that the owner of a domain makes.
type ValidationRecord struct {
	// Name and Value end with a dot.
	Name, Value string
	// IsValidated says that the record was seen.
	IsValidated bool
	// IsFailed says that it was not seen in time.
	IsFailed bool
}

// Hosts are the host names that the domain stands for.
func (d CustomDomain) Hosts() []string {
	if d.HasWWW {
		return []string{d.Name, "www." + d.Name}
	}
	return []string{d.Name}
}

// IsRouted says whether requests for the domain reach the service. It is active once they do.
func (d CustomDomain) IsRouted() bool {
	return d.Status == DomainStatusActive || d.Status == DomainStatusBinding
}

// Clone returns a copy that shares nothing with d.
func (d CustomDomain) Clone() CustomDomain {
	d.Records = slices.Clone(d.Records)
	return d
}

// validationEdge is a label that all domains of an apron share in their second record, as App Runner's do. It has 31
// characters.
func validationEdge(account, region string) string {
	return "2a57j7" + derivedLabel(25, "edge", account, region)
}

// NewValidationRecords returns fresh records for a domain: one for the name, one for where it leads, and one for www.
func NewValidationRecords(domain string, hasWWW bool, account, region string) []ValidationRecord {
	base := strings.TrimPrefix(domain, "*.")
	names := []string{base, validationEdge(account, region) + "." + base}
	if hasWWW {
		names = append(names, "www."+base)
	}
	records := make([]ValidationRecord, len(names))
	for i, name := range names {
		records[i] = ValidationRecord{
			Name:  "_" + randomHex() + "." + name + ".",
			Value: "_" + randomHex() + "." + string(NewSubdomain()) + ".acm-validations.aws.",
		}
	}
	return records
}
