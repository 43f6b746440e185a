// Package sqlstore is a store in a database that speaks SQL: the queries, the schema and the methods, of which there is one
// for all databases. store/sqlite and store/postgres open theirs and say what differs (Database); they do not know each
// other.
//
// # What holds
//
//   - A method that has returned without an error is remembered whatever happens next.
//   - One transaction writes at a time, also among processes (Begin), so that what a transaction has read is still so when it
//     writes. Writes of a process that wait together share a transaction (writer.go); each has its own outcome, and none
//     before it is on the disk. Reads do not wait for the writer.
//   - "One operation at a time for a service" and "one name for one service" are unique indexes, not only code.
//
// # How values are kept
//
// Times are microseconds since 1970 in UTC, so that they sort and compare as integers. What nothing searches by (the
// configuration, the tags, an operation's steps) is JSON in one column. One file holds the queries of one noun.
package sqlstore
