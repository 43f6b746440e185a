// Package protocols asks the proxy by clients that others made: h2spec, curl, h2load, the interoperability tests of gRPC and the
// HTTP/3 client of quic-go. The proxy runs in the test's process, with apps beside it.
package protocols
