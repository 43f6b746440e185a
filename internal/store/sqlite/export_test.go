package sqlite

// PlannedQueries are those that run often or over many rows.
var PlannedQueries = map[string]string{
	"list services":    selectServices,
	"list serving":     selectServingServices,
	"list operations":  selectOperations,
	"list revisions":   selectRevisions,
	"claim operation":  claimOperation,
	"release leases":   releaseLeases,
	"prune operations": deleteOldOperations,
	"service by name":  selectServiceByName,
}
