// Package progress tells a person of an operation: its steps as they happen with what they print, and why it failed. The
// command line shows it on a terminal, the Git server in the output of a push.
//
// What an application or a build prints is shown without what would steer a terminal.
package progress
