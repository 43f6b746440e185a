// Package proxy is the data plane: it takes the services' HTTP requests and passes each to a ready instance.
//
// It knows only immutable Routes that come in by SetRoutes and ChangeRoutes; never the store, operations or the backend. It also asks
// instances whether they are ready (Prober).
//
// # What holds
//
//   - A request reads one immutable route table. A change builds a new table and swaps the pointer, so that a request
//     sees a switch wholly or not at all.
//   - A request that came by the private listener finds private hosts only, and every other request public ones only.
//   - What two servers could read differently is refused: see strict.go and clear.go, and the catalogue in test/proxy.
//   - A request claims its instance before it uses it, and then looks whether the instance has left the table in
//     between. So once Drain has seen no request in flight, none will come any more.
//   - A request is sent to another instance only if nothing of it was sent. One without a body whose method is safe is
//     also sent again to the same instance if a connection that was kept open died before the first byte of the answer:
//     the app had closed it already. Every other request gets a new connection, because a kept one can die like that
//     and then nobody knows whether the app has seen the request.
//   - An instance has at most MaxConcurrency requests. Those that find no room wait in the queue of their service, in the order in
//     which they came, as those do whose service has just lost its last instance or was scaled to zero. How many wait, and how long, has
//     a bound (MaxWaiting, MaxHeld; QueueTimeout, HoldTimeout); a request that waits has a deadline.
//   - An instance without a request for a while is frozen, and thawed before the next one is sent to it. Requests, streams and upgraded
//     connections in flight keep it warm. One data plane freezes at a time, and any thaws.
//   - Bodies and trailers are streamed in both directions, with back-pressure; nothing is buffered whole.
//   - A proxy that leaves answers what is on its way to it. By HTTP/1.1 each answer asks to close the connection, and by HTTP/2 a GOAWAY asks
//     the client to leave a while before the last one says which stream was the last.
//   - Only names of public hosts get a certificate. Which host is asked for says the request, whatever its handshake named.
//   - An app of the protocol h2c gets its requests by HTTP/2, each as a stream, whatever the client speaks.
//   - What says who the client is comes from the proxy, not from the client, unless the peer is a trusted proxy.
//
// # Two roads
//
// The connections of the plain listeners begin on the fast road: event loops (package eventloop; a lane is one of them with its
// connections) that read HTTP/1.1 strictly (package http1) and carry a request by some four system calls. See connState for the
// states of a connection; clientconn.go, carried.go and carry.go have the story. What the fast road does not know goes to the
// standard road, net/http and ServeHTTP, as a connection with what was read of it (handover.go): HTTP/1.0, Expect, trailers of
// requests, CONNECT and other odd targets, HTTP/2, and services whose traffic wants more than bytes passed on. Both roads seek places in
// the same way, apply the same rules and write the same records; the tests run on both.
//
// # Where what is
//
//	Which instance    table, names, host; service, instance: what is known of them; admission, offer, choose: who gets a place
//	Fast road         fast, lane, acceptor; clientconn, carried, carry, finish, appconn, window; fast…: what serve, refuse and tunnel are on it
//	Standard road     serve, body, outgoing, answer, compress, tunnel; upstream, instconn, h2c: connections to instances
//	Strictness        strict, unread, clear, headers; handshake and tls for what comes encrypted; http3, http3conn
//	Time and ends     idle, interrupt; leave, limit; freeze, load; probe
//
// Of themselves stand packages rules (who may pass), trace (which trace a request is of), accesslog (what is written of it), and http2
// (how a connection of HTTP/2 ends).
//
// # What the proxy itself answers
//
// Each means one thing; docs/proxy.md has them for users. The access log has the cause.
//
//	308  the service's rules want HTTPS
//	400  the request cannot be read without doubt
//	403  the service's rules do not let the client's address, or the path, pass
//	404  no service has this host on the listener that was asked
//	405  CONNECT
//	408  the request's body did not come in time
//	429  neither an instance has room nor the queue
//	431  the request's line and headers are too long
//	502  an instance got the request and broke off, or answered something that is not HTTP
//	503  no instance got the request: the service is paused, starting, had no instance that accepts connections for a while, or
//	     none with room
//	504  an instance got the request and did not answer in time, or neither side sent a byte for long
//
// A call of gRPC gets the status of gRPC that means the same.
package proxy
