// Package postgres keeps the store in a PostgreSQL database, which several aprons may share; store/sqlstore has the queries.
//
//   - Writes of all processes take one advisory lock, so that one transaction writes at a time, as in SQLite. Reads have
//     connections of their own and do not wait for it.
//   - Nothing waits without end: connecting, each statement, the lock, a transaction that its process has forgotten, and a
//     server that does not answer have deadlines.
//   - A server that went away is an error of the methods that needed it, and the next ones connect anew. An error that is
//     neither ErrNotFound nor ErrConflict says nothing about whether a write was kept: the connection may have broken
//     between the commit and its answer.
//   - The database's URL may hold a password; it is in no error.
package postgres
