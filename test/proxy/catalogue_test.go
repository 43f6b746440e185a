package proxy

import (
	"strconv"
	"strings"
)

// smuggling is a request, or some, that two parsers may understand differently, and what must become of it. Want is what reaches
// the app, each as "METHOD target body", and "refused" for an answer that says that it was the client's fault, after which the
// connection is closed; "or" is between outcomes of which each is safe. An outcome without "refused" or "closed" means that the
// connection goes on as if nothing had been.
//
// The cases are written from RFC 9112 and RFC 9110, whose sections are named. What to look for was learned from those who have
// looked: Linhart, Klein, Heled and Orrin, "HTTP Request Smuggling" (2005); Kettle, "HTTP Desync Attacks" (2019), "HTTP/2: The
// Sequel is Always Worse" (2021), "Browser-Powered Desync Attacks" (2022) and "HTTP/1.1 Must Die" (2025); Jabiyev, Sprecher,
// Onarlioglu and Kirda, "T-Reqs: HTTP Request Smuggling with Differential Fuzzing" (2021); Kallus and Anantharaman, "The HTTP
// Garden" (2024); Weikop, "Funky Chunks" (2025).
type smuggling struct{ name, send, want string }

const (
	refused = "refused"
	hosted  = " HTTP/1.1\r\nHost: " + host + "\r\n"
	post    = "POST /" + hosted
	get     = "GET /" + hosted
	chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
	inner   = "GET /inner" + hosted + "\r\n"
)

// framing is about where a message ends: RFC 9112, 6.1 to 6.3.
var framing = []smuggling{
	{"a length", post + "Content-Length: 4\r\n\r\nbody", "POST / body"},
	{"chunks", chunked + "4\r\nbody\r\n0\r\n\r\n", "POST / body"},
	{"CL.TE", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", refused},
	{"TE.CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + inner, refused},
	{"CL.TE whose two ends agree", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refused},
	{"CL.CL", post + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody", refused},
	{"CL.CL that agree", post + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", "refused or POST / body"},
	{"a list of lengths", post + "Content-Length: 4, 5\r\n\r\nbody", refused},
	{"a list of equal lengths", post + "Content-Length: 4, 4\r\n\r\nbody", "refused or POST / body"},
	{"a length with a plus", post + "Content-Length: +4\r\n\r\nbody", refused},
	{"a negative length", post + "Content-Length: -4\r\n\r\nbody", refused},
	{"minus nothing", post + "Content-Length: -0\r\n\r\n", refused},
	{"a length in hex", post + "Content-Length: 0x4\r\n\r\nbody", refused},
	{"a length of hex digits", post + "Content-Length: a\r\n\r\nbodybodybo", refused},
	{"a length with a fraction", post + "Content-Length: 4.0\r\n\r\nbody", refused},
	{"a length with an exponent", post + "Content-Length: 4e0\r\n\r\nbody", refused},
	{"a length with a space", post + "Content-Length: 1 4\r\n\r\nbody", refused},
	{"a length with an underscore", post + "Content-Length: 1_0\r\n\r\nbodybodybo", refused},
	{"a length with a letter behind", post + "Content-Length: 4x\r\n\r\nbody", refused},
	{"a length in quotes", post + "Content-Length: \"4\"\r\n\r\nbody", refused},
	{"an empty length", post + "Content-Length: \r\n\r\n", refused},
	{"a length of 2^63", post + "Content-Length: 9223372036854775808\r\n\r\nbody", refused},
	{"a length of 2^64+4", post + "Content-Length: 18446744073709551620\r\n\r\nbody", refused},
	{"a length with zeros before", post + "Content-Length: 0004\r\n\r\nbody", "refused or POST / body"},
	{"a length in other digits", post + "Content-Length: \xd9\xa4\r\n\r\nbody", refused},
	{"a length with a vertical tab", post + "Content-Length:\x0b4\r\n\r\nbody", refused},
	{"a length with a form feed", post + "Content-Length: 4\x0c\r\n\r\nbody", refused},
	{"a length with a no-break space", post + "Content-Length:\xa04\r\n\r\nbody", refused},
	{"an unknown coding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", refused},
	{"identity", post + "Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nbody", refused},
	{"identity alone", post + "Transfer-Encoding: identity\r\n\r\n", refused},
	{"identity, then chunked", post + "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", refused},
	{"chunked, then identity", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", refused},
	{"gzip, then chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", refused},
	{"chunked twice", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", refused},
	{"two codings in two headers", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", refused},
	{"chunked in two headers", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refused},
	{"a second coding that is none", post + "Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n0\r\n\r\n", refused},
	{"chunked with a comma before", post + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", refused},
	{"chunked with a comma behind", post + "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", refused},
	{"chunked with a parameter", post + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", refused},
	{"chunked in quotes", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", refused},
	{"chunked in capitals", post + "Transfer-Encoding: CHUNKED\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "refused or POST / body"},
	{"chunked behind a tab", post + "Transfer-Encoding:\tchunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "refused or POST / body"},
	{"chunked behind a vertical tab", post + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", refused},
	{"chunked with a NUL", post + "Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n", refused},
	{"chunked with a long s", post + "Transfer-Encoding: chun\xe2\x84\xaaed\r\n\r\n0\r\n\r\n", refused},
	{"chunked with a CR behind", post + "Transfer-Encoding: chunked\r\r\n\r\n0\r\n\r\n", refused},
	{"an empty coding", post + "Transfer-Encoding: \r\nContent-Length: 4\r\n\r\nbody", refused},
	{"TE and 1.0", "POST / HTTP/1.0\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refused},
	{"TE and 1.0 that is kept", "POST / HTTP/1.0\r\nHost: " + host + "\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", refused},
	{"0.CL: a GET with a length", get + "Content-Length: 4\r\n\r\nbody", "GET / body"},
	{"0.CL: a GET in chunks", get + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "GET / body"},
	{"0.CL: a GET whose body is a request", get + "Content-Length: " + length(inner) + "\r\n\r\n" + inner, "GET / " + inner},
	{"CL.0: a length of nothing before a request", post + "Content-Length: 0\r\n\r\n" + inner, "POST / | GET /inner"},
	{"CL.0: a POST without a length before a request", post + "\r\n" + inner, "POST / | GET /inner"},
	{"a body that is a request", post + "Content-Length: " + length(inner) + "\r\n\r\n" + inner, "POST / " + inner},
	{"a chunk that is a request", chunked + hex(inner) + "\r\n" + inner + "\r\n0\r\n\r\n", "POST / " + inner},
}

func length(text string) string { return strconv.Itoa(len(text)) }

func hex(text string) string { return strconv.FormatInt(int64(len(text)), 16) }

// chunking is about the chunks of a body: RFC 9112, 7.1.
var chunking = []smuggling{
	{"a size in capitals", chunked + "A\r\n0123456789\r\n0\r\n\r\n", "POST / 0123456789"},
	{"a size with zeros before", chunked + "0004\r\nbody\r\n0\r\n\r\n", "refused or POST / body"},
	{"an end of many zeros", chunked + "4\r\nbody\r\n000\r\n\r\n", "refused or POST / body"},
	{"a size with 0x", chunked + "0x4\r\nbody\r\n0\r\n\r\n", refused},
	{"a size with a plus", chunked + "+4\r\nbody\r\n0\r\n\r\n", refused},
	{"a size with a minus", chunked + "-4\r\nbody\r\n0\r\n\r\n", refused},
	{"a size with an underscore", chunked + "0_4\r\nbody\r\n0\r\n\r\n", refused},
	{"a size with a space before", chunked + " 4\r\nbody\r\n0\r\n\r\n", refused},
	{"a size with a space behind", chunked + "4 \r\nbody\r\n0\r\n\r\n", "refused or POST / body"},
	{"a size with a vertical tab", chunked + "4\x0b\r\nbody\r\n0\r\n\r\n", refused},
	{"a size with a NUL", chunked + "4\x00\r\nbody\r\n0\r\n\r\n", refused},
	{"an empty size", chunked + "\r\nbody\r\n0\r\n\r\n", refused},
	{"a size of 2^64+4", chunked + "10000000000000004\r\nbody\r\n0\r\n\r\n", refused},
	{"a size of letters", chunked + "zz\r\nbody\r\n0\r\n\r\n", refused},
	{"a size that a bare LF ends", chunked + "4\nbody\r\n0\r\n\r\n", refused},
	{"a chunk that a bare LF ends", chunked + "4\r\nbody\n0\r\n\r\n", refused},
	{"a chunk that nothing ends", chunked + "4\r\nbody0\r\n\r\n", refused},
	{"a chunk that two other bytes end", chunked + "4\r\nbodyxx0\r\n\r\n", refused},
	{"a chunk that a bare CR ends", chunked + "4\r\nbody\r0\r\n\r\n", refused},
	{"a chunk that is longer than its size", chunked + "3\r\nbody\r\n0\r\n\r\n", refused},
	{"an end with a bare LF", chunked + "4\r\nbody\r\n0\n\r\n", refused},
	{"an end whose second line is a bare LF", chunked + "4\r\nbody\r\n0\r\n\n", refused},
	{"an end with a bare CR", chunked + "4\r\nbody\r\n0\r\r\n\r\n", refused},
	{"an extension", chunked + "4;a=b\r\nbody\r\n0;c\r\n\r\n", "refused or POST / body"},
	{"an extension in quotes", chunked + "4;a=\"b;c\"\r\nbody\r\n0\r\n\r\n", "refused or POST / body"},
	{"an extension with a bare LF", chunked + "4;a\nb\r\nbody\r\n0\r\n\r\n", refused},
	{"an extension that a bare LF ends", chunked + "4;\nbody\r\n0\r\n\r\n", refused},
	{"an extension with a bare CR", chunked + "4;a\rb\r\nbody\r\n0\r\n\r\n", refused},
	{"an extension with a NUL", chunked + "4;a\x00\r\nbody\r\n0\r\n\r\n", refused},
	{"an extension with a line break in quotes", chunked + "4;a=\"\r\nbody\r\n0\r\n\r\n", "refused or POST / body"},
	{"an extension without end", chunked + "4;" + strings.Repeat("a", 100_000) + "\r\nbody\r\n0\r\n\r\n", refused},
	{"a trailer that was not announced", chunked + "4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n", "refused or POST / body or POST / body x-sum=1"},
	{"a trailer", post + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n", "POST / body x-sum=1"},
	{"a length in the trailers", chunked + "4\r\nbody\r\n0\r\nContent-Length: 100\r\n\r\n", "refused or POST / body"},
	{"a length in the trailers that is announced", post + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nContent-Length: 100\r\n\r\n", refused},
	{"a coding in the trailers", chunked + "4\r\nbody\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "refused or POST / body"},
	{"a host in the trailers", post + "Trailer: Host\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nHost: other.test\r\n\r\n", "refused or POST / body"},
	{"a trailer who says who the client is", post + "Trailer: X-Forwarded-For\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", "refused or POST / body"},
	{"a trailer that is folded", chunked + "4\r\nbody\r\n0\r\nX-Sum: 1\r\n 2\r\n\r\n", refused},
	{"a trailer with a space before the colon", chunked + "4\r\nbody\r\n0\r\nX-Sum : 1\r\n\r\n", refused},
	{"a trailer that a bare LF ends", chunked + "4\r\nbody\r\n0\r\nX-Sum: 1\n\r\n", refused},
	{"a trailer that is a request line", chunked + "4\r\nbody\r\n0\r\nGET /inner HTTP/1.1\r\n\r\n", refused},
}
