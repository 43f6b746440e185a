// Package dataplane runs the proxy as a process of its own, so that services go on answering while apron is stopped,
// killed or replaced, and steers it.
//
// Serve is that process. A Client steers it from apron over a Unix socket: it says the whole table of routes at every
// change, so that there is no order to keep, nothing to replay, and a data plane that was started anew knows everything
// after one message.
//
//	PUT  /v1/routes   the table from now on
//	GET  /v1/routes   the table in force
//	POST /v1/drain    wait until instances have no request in flight
//	GET  /v1/health   who is there, and which table it has
package dataplane
