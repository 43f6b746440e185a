// Package failpoint lets a test end apron at a named point of an operation, as a crash would. It does something only in a
// program built with the tag failpoint; in any other, Pass is empty and leaves nothing behind.
//
// In such a program the environment variable APRON_FAILPOINTS names a folder. The process writes each point that it passes
// into PID.passed there, and ends itself by SIGKILL at the one that PID.armed names. The files are the process's own, so
// that the next start is not ended again.
package failpoint

import "github.com/apron-run/apron/internal/platform"

// Variable is the environment variable that names the folder.
const Variable = "APRON_FAILPOINTS"

// The moments of what has an effect. The record of a step is written with the beginning of the next one, so Before of that
// one is after the record.
const (
	Before      = "before"
	AfterEffect = "after-effect"
	AfterRecord = "after-record"
)

// What has points besides the steps.
const (
	Accept   = "accept"   // the operation itself
	Claim    = "claim"    // its lease
	Revision = "revision" // between the image and the end of the step that makes it
	Route    = "route"    // between the transaction of the switch and the route
	Cancel   = "cancel"   // somebody's wish for its end
	Rollback = "rollback" // what a failed operation had started
	Discard  = "discard"  // the revision of a failed operation, and then its image
	End      = "end"      // the terminal status
	Tidy     = "tidy"     // what an ended operation needs no longer
)

// Point is the name of a point.
func Point(operation platform.OperationType, of, moment string) string {
	return string(operation) + "/" + of + "/" + moment
}
