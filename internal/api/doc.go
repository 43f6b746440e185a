// Package api is the wire: it verifies who asks, reads and validates what is asked, hands it to what does the work, and
// writes the answer or the error as App Runner would.
//
// # One request
//
//	POST / -> body read, bounded -> signature verified (sigv4) -> X-Amz-Target found in the registry
//	       -> decoded and validated (apprunner) -> the action's function -> encoded -> a line in the log
//
// It owns the meaning of each action's members: defaults, how an update merges, which references exist. It does not own
// when an operation may start (operation), nor what is remembered (store); both are interfaces declared here.
//
// # Errors
//
// A function that refuses returns an *Error, made by the one constructor of its code. The outermost *Error is the
// answer; any other error is an InternalServiceErrorException whose cause is logged once, with the request's id. An
// action answers only with codes that its model entry declares, besides those common to all actions.
//
// # Adding an action
//
// Define its shapes and endpoint in package apprunner, write its function in the file of its resource family, and add
// its line to actions.go.
package api
