package sqlstore

import "context"

// PlannedQueries are those that run often or over many rows.
var PlannedQueries = map[string]string{
	"list services":    selectServices,
	"list serving":     selectServingServices,
	"list waiting":     selectWaitingServices,
	"list operations":  selectOperations,
	"list revisions":   selectRevisions,
	"claim operation":  claimOperation,
	"release leases":   releaseLeases,
	"prune operations": deleteOldOperations,
	"service by name":  selectServiceByName,
}

// Waiting is how many writes wait for the one that runs.
func (s *Store) Waiting() int {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	return len(s.writer.waiting)
}

// LoseTransaction ends the transaction that it shares with others, as SQLite does when the disk fails.
func (s *Store) LoseTransaction(ctx context.Context) error {
	return s.write(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, "ROLLBACK")
		return err
	})
}
