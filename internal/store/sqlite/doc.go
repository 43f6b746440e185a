// Package sqlite keeps the store of one machine in one SQLite file; store/sqlstore has the queries.
//
//   - What was written survives a kill of apron, and a loss of power too. The journal is a write-ahead log that is flushed to
//     the disk at each commit (synchronous=FULL), which costs a fraction of a millisecond to a few milliseconds.
//   - There is one connection that writes. Its transactions begin by taking the write lock (BEGIN IMMEDIATE). Reads have a
//     small pool of their own, which cannot write, and do not wait for the writer.
//   - The file and its log are readable by their owner only (mode 0600): configurations hold plain variables.
package sqlite
