// Package sqlite remembers what apron knows in one SQLite file. It is the store of an apron on one machine.
//
// # What holds
//
//   - A method that has returned without an error is remembered whatever happens next: a kill of apron, and a loss of
//     power too. The journal is a write-ahead log that is flushed to the disk at each commit (synchronous=FULL), which
//     costs a fraction of a millisecond to a few milliseconds.
//   - There is one connection that writes. Its transactions begin by taking the write lock (BEGIN IMMEDIATE), so that
//     what a transaction has read is still so when it writes. Writes that wait for it together share a transaction
//     (writer.go); each has its own outcome, and none before it is on the disk. Reads have a small pool of their own,
//     which cannot write, and do not wait for the writer.
//   - "One operation at a time for a service" and "one name for one service" are unique indexes, not only code.
//   - The file and its log are readable by their owner only (mode 0600): configurations hold plain variables.
//
// # How values are kept
//
// Times are microseconds since 1970 in UTC, so that they sort and compare as integers. What nothing searches by (the
// configuration, the tags, an operation's steps) is JSON in one column. The SQL is what PostgreSQL takes as well; one
// file holds the queries of one noun.
package sqlite
