// Package dataplane runs the proxy as a process of its own, so that services go on answering while apron is stopped,
// killed or replaced, and steers it.
//
// Serve is that process. A Client steers it from apron over a Unix socket: it says what has changed in the table of routes, by the
// name of the table before, and the whole where that one is not in force. So there is nothing to replay, a data plane that
// was started anew knows everything after one message, and a change costs the same with 10,000 services as with ten.
//
//	PUT   /v1/routes     the table from now on
//	PATCH /v1/routes     what the table differs in from the one before; 409 when another one is in force
//	GET   /v1/routes     the table in force
//	POST  /v1/drain      wait until instances have no request in flight
//	POST  /v1/tunnels    end the upgraded connections to instances
//	GET   /v1/health     who is there, and which table it has
//	POST  /v1/listeners  the listening sockets, for the next data plane, and one by which it passes on packets of HTTP/3
//	GET   /v1/load       wait for the load to change: which services have requests, find no room, or have frozen instances
//	POST  /v1/leave      take no more connections, and end after those that are open
//
// # One after the other
//
// A data plane of another program, or with other addresses, is replaced without a moment at which nobody listens. Its
// socket run/proxy.sock is renamed to run/proxy-PID.sock: it is set aside. The next one finds it there, takes its
// listening sockets over and waits for its first table, while the one before still accepts. When the next one has the
// table, the one before is told to leave. Both have the newest routes as long as both live, and a drain waits for both.
// Instances are frozen by one of them at a time: the one before stops when its listeners are taken over, and the next one begins when
// nobody is set aside any more. Both thaw what they have a request for.
//
// All of this can be read from the sockets that are there, so that it goes on after a crash at any point.
package dataplane
