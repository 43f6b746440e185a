package http1

// Kind tells the fields apart that a proxy has to know.
type Kind uint8

const (
	Other Kind = iota
	Host
	ContentLength
	ContentType
	Date
	Accept
	Referer
	UserAgent
	Expect
	// Traceparent, Tracestate and XAmznTraceID tell to what trace a request belongs.
	Traceparent
	Tracestate
	XAmznTraceID
	// XForwardedFor, XForwardedProto and XForwardedHost are spelled just so; TellsClient are other spellings of these, and the other fields
	// that say who the client is.
	XForwardedFor
	XForwardedProto
	XForwardedHost
	TellsClient
	// Disguised is what servers that take "_" for "-" take for a field of the framing.
	Disguised

	// What follows concerns one connection only.
	Connection
	KeepAlive
	ProxyConnection
	ProxyAuthenticate
	ProxyAuthorization
	TE
	Trailer
	TransferEncoding
	Upgrade

	firstHopByHop = Connection
)

// IsForwarded says whether a field tells who the client is.
func (k Kind) IsForwarded() bool { return k >= XForwardedFor && k <= TellsClient }

// kindOf finds a name's kind. The first letter leaves few words to compare with.
func kindOf(name []byte) Kind {
	switch name[0] | 0x20 {
	case 'h':
		return one(name, "host", Host)
	case 'c':
		switch len(name) {
		case 10:
			return one(name, "connection", Connection)
		case 12:
			return one(name, "content-type", ContentType)
		case 14:
			return framing(name, "content-length", ContentLength)
		}
	case 't':
		switch len(name) {
		case 2:
			return one(name, "te", TE)
		case 7:
			return one(name, "trailer", Trailer)
		case 10:
			return one(name, "tracestate", Tracestate)
		case 11:
			return one(name, "traceparent", Traceparent)
		case 17:
			return framing(name, "transfer-encoding", TransferEncoding)
		}
	case 'u':
		if len(name) == 7 {
			return one(name, "upgrade", Upgrade)
		}
		return one(name, "user-agent", UserAgent)
	case 'e':
		return one(name, "expect", Expect)
	case 'a':
		return one(name, "accept", Accept)
	case 'd':
		return one(name, "date", Date)
	case 'r':
		return one(name, "referer", Referer)
	case 'k':
		return one(name, "keep-alive", KeepAlive)
	case 'p':
		switch len(name) {
		case 16:
			return one(name, "proxy-connection", ProxyConnection)
		case 18:
			return one(name, "proxy-authenticate", ProxyAuthenticate)
		case 19:
			return one(name, "proxy-authorization", ProxyAuthorization)
		}
	case 'f':
		return one(name, "forwarded", TellsClient)
	case 'x':
		return customKind(name)
	}
	return Other
}

func one(name []byte, word string, kind Kind) Kind {
	if EqualFold(name, word) {
		return kind
	}
	return Other
}

func framing(name []byte, word string, kind Kind) Kind {
	if kind := one(name, word, kind); kind != Other || !equalLoose(name, word) {
		return kind
	}
	return Disguised
}

func customKind(name []byte) Kind {
	const family = "x-forwarded-"
	switch {
	case EqualFold(name, "x-forwarded-for"):
		return XForwardedFor
	case EqualFold(name, "x-forwarded-proto"):
		return XForwardedProto
	case EqualFold(name, "x-forwarded-host"):
		return XForwardedHost
	case EqualFold(name, "x-amzn-trace-id"):
		return XAmznTraceID
	case equalLoose(name, "x-real-ip"), len(name) > len(family) && equalLoose(name[:len(family)], family):
		return TellsClient
	}
	return Other
}
