// Package http1 reads the heads and the framing of HTTP/1.1 messages, in place and without allocating, for a proxy that must
// see the same messages as the servers behind it.
//
// Requests are read strictly: what two readers could understand differently is refused (RFC 9112, 11.2). A line ends with CR LF
// and with nothing else, none is folded, no space stands before a colon, names and values have only the characters that they
// may have, a length is digits only and said once, and never beside a transfer coding. What is accepted means to net/http the
// same; a fuzz test compares the two. Answers are read a little less strictly, because an app's answer is written anew anyway: bare
// LF and folded lines are taken for what they mean.
package http1
