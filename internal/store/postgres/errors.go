package postgres

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// The codes of PostgreSQL's errors (its manual, appendix A) that mean something to apron.
const (
	codeUniqueViolation     = "23505"
	codeForeignKeyViolation = "23503"
	codeInvalidLogin        = "28000"
	codeInvalidPassword     = "28P01"
	codeNoDatabase          = "3D000"
	codeNoPrivilege         = "42501"
	codeReadOnly            = "25006"
	codeDiskFull            = "53100"
	// classOperator begins the codes of a server that is ended, or does not take connections yet.
	classOperator = "57P"
)

// sentinel is the store's name for what the server reports, by code; nil for what has none.
func sentinel(err error) error {
	switch codeOf(err) {
	case codeUniqueViolation:
		return store.ErrConflict
	case codeForeignKeyViolation:
		return store.ErrNotFound
	}
	return nil
}

func codeOf(err error) string {
	var failure *pgconn.PgError
	if !errors.As(err, &failure) {
		return ""
	}
	return failure.Code
}

// Fault says what is wrong for an error that says that the database cannot be used now; empty for other errors.
func Fault(err error) string {
	var failure *pgconn.PgError
	var connecting *pgconn.ConnectError
	switch {
	case codeOf(err) == codeReadOnly:
		return "apron's database takes no writes: it is a standby, or its disk is read-only."
	case codeOf(err) == codeDiskFull:
		return "apron's database cannot be written because its server's disk is full."
	case errors.As(err, &failure) && !strings.HasPrefix(failure.Code, classOperator):
		return ""
	case failure != nil, errors.As(err, &connecting), pgconn.SafeToRetry(err), pgconn.Timeout(err), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, io.ErrUnexpectedEOF):
		return "apron's database server does not answer."
	}
	return ""
}

// explainOpen says in words why a database cannot be used.
func explainOpen(err error, config *pgx.ConnConfig) error {
	if platform.AsExplained(err) != nil {
		return err
	}
	switch codeOf(err) {
	case codeInvalidLogin, codeInvalidPassword:
		return platform.Explain(err, "The database %s refused the user %q: give the password in APRON_DATABASE or in the file that PGPASSFILE names.", name(config), config.User)
	case codeNoDatabase:
		return platform.Explain(err, "The server has no database %s. Make it with `createdb --owner %s %s`.", name(config), config.User, config.Database)
	case codeNoPrivilege:
		return platform.Explain(err, "The user %q may not make tables in the database %s. Make it the database's owner.", config.User, name(config))
	case codeReadOnly:
		return platform.Explain(err, "The database %s takes no writes: it is a standby. Name the primary, or all servers with target_session_attrs=read-write.", name(config))
	}
	var failure *pgconn.ConnectError
	if errors.As(err, &failure) {
		return platform.Explain(err, "The database %s cannot be reached. Is the server running, and does it listen there? (%v)", name(config), failure)
	}
	return fmt.Errorf("open the database %s: %w", name(config), err)
}
