// Package bench measures what people wait for, beside a peer where there is one, and prints a table. `make bench` runs it;
// nothing in it passes or fails, and the suite does not run it.
package bench
