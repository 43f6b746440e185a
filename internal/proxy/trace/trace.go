// Package trace passes on the trace that a request belongs to, in the forms of W3C and of Amazon, or begins one.
package trace

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"time"
)

// ID names all that a request leads to, in whichever service. W3C's traceparent has it as 32 hexadecimal digits, and
// X-Amzn-Trace-Id as 8 and 24 of them.
type ID [16]byte

const (
	traceparentLength = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	amznRoot          = "Root=1-"
)

// trace is what a request's headers say of the trace that it belongs to, or what is begun.
type trace struct {
	id ID
	// hasParent and hasRoot say that traceparent, or X-Amzn-Trace-Id, is passed on as it came.
	hasParent, hasRoot bool
	// isUnsampled says that the one that came asks for no record.
	isUnsampled bool
}

// traceOf reads both headers, which are empty where there are none. Where neither can be read, a trace begins. Where both can, each
// is passed on, and the W3C's names the request in the access log.
func traceOf(traceparent, amzn []byte) (t trace) {
	var root ID
	if root, t.hasRoot = rootOf(amzn); t.hasRoot {
		t.id, t.isUnsampled = root, hasField(amzn, "Sampled=0")
	}
	var parent ID
	if parent, t.hasParent = parentOf(traceparent); t.hasParent {
		t.id, t.isUnsampled = parent, traceparent[traceparentLength-1]&1 == 0
	}
	if !t.hasParent && !t.hasRoot {
		t.id = newID(time.Now())
	}
	return t
}

// IDOf is the trace's id, given what AppendHeaders gets.
func IDOf(traceparent, amzn []byte) ID { return traceOf(traceparent, amzn).id }

// newID begins with the second, as X-Ray wants it. Ids must be unique, and need not be secret.
func newID(now time.Time) (id ID) {
	binary.BigEndian.PutUint32(id[:], uint32(now.Unix()))
	binary.BigEndian.PutUint32(id[4:], rand.Uint32())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// parentOf reads a traceparent (W3C Trace Context, 3.2). One of a version to come may be longer.
func parentOf(value []byte) (id ID, ok bool) {
	isLonger := len(value) > traceparentLength
	if len(value) < traceparentLength || value[2] != '-' || value[35] != '-' || value[52] != '-' || isLonger && value[traceparentLength] != '-' {
		return id, false
	}
	var version, flags [1]byte
	var span [8]byte
	ok = unhex(version[:], value[:2]) && unhex(id[:], value[3:35]) && unhex(span[:], value[36:52]) && unhex(flags[:], value[53:55]) &&
		version[0] != 0xff && !(isLonger && version[0] == 0) && id != ID{} && span != [8]byte{}
	return id, ok
}

// rootOf reads the Root of an X-Amzn-Trace-Id, "Self=…;Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".
func rootOf(value []byte) (id ID, ok bool) {
	for len(value) > 0 {
		var field []byte
		field, value = cutField(value)
		if len(field) == len(amznRoot)+8+1+24 && string(field[:len(amznRoot)]) == amznRoot && field[len(amznRoot)+8] == '-' {
			digits := field[len(amznRoot):]
			ok = unhex(id[:4], digits[:8]) && unhex(id[4:], digits[9:]) && id != ID{}
			return id, ok
		}
	}
	return id, false
}

// hasField says whether one of the fields that semicolons part is this one.
func hasField(value []byte, wanted string) bool {
	for len(value) > 0 {
		var field []byte
		if field, value = cutField(value); string(field) == wanted {
			return true
		}
	}
	return false
}

func cutField(value []byte) (field, rest []byte) {
	end := 0
	for end < len(value) && value[end] != ';' {
		end++
	}
	field, rest = value[:end], value[min(end+1, len(value)):]
	for len(field) > 0 && field[0] == ' ' {
		field = field[1:]
	}
	return field, rest
}

// unhex reads lower-case hexadecimal digits, two for each byte.
func unhex(into, digits []byte) bool {
	for i := range into {
		high, low := digitOf(digits[2*i]), digitOf(digits[2*i+1])
		if high|low > 0xf {
			return false
		}
		into[i] = high<<4 | low
	}
	return true
}

func digitOf(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// appendParent appends a traceparent of the trace, with the proxy as its parent.
func (t trace) appendParent(dst []byte) []byte {
	var span [8]byte
	binary.BigEndian.PutUint64(span[:], rand.Uint64()|1) // an id of zeros would be none
	dst = append(dst, "00-"...)
	dst = hex.AppendEncode(dst, t.id[:])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, span[:])
	if t.isUnsampled {
		return append(dst, "-00"...)
	}
	return append(dst, "-01"...)
}

// appendRoot appends an X-Amzn-Trace-Id of the trace.
func (t trace) appendRoot(dst []byte) []byte {
	dst = append(dst, amznRoot...)
	dst = hex.AppendEncode(dst, t.id[:4])
	dst = append(dst, '-')
	return hex.AppendEncode(dst, t.id[4:])
}

// AppendHeaders appends the header lines of a request's trace as an instance gets them, given the values that came, which are empty
// where there are none or several. keepsState says whether tracestate may be passed on, which has no meaning without the traceparent
// that it came with.
func AppendHeaders(dst, traceparent, amzn []byte) (lines []byte, id ID, keepsState bool) {
	t := traceOf(traceparent, amzn)
	dst = append(dst, "Traceparent: "...)
	if t.hasParent {
		dst = append(dst, traceparent...)
	} else {
		dst = t.appendParent(dst)
	}
	dst = append(dst, "\r\nX-Amzn-Trace-Id: "...)
	if t.hasRoot {
		dst = append(dst, amzn...)
	} else {
		dst = t.appendRoot(dst)
	}
	return append(dst, "\r\n"...), t.id, t.hasParent
}

// Set is AppendHeaders for the headers of a request.
func Set(header http.Header) ID {
	t := traceOf(onlyValue(header["Traceparent"]), onlyValue(header["X-Amzn-Trace-Id"]))
	if !t.hasParent {
		header["Traceparent"] = []string{string(t.appendParent(nil))}
		delete(header, "Tracestate")
	}
	if !t.hasRoot {
		header["X-Amzn-Trace-Id"] = []string{string(t.appendRoot(nil))}
	}
	return t.id
}

// onlyValue is a header's value; empty when it comes several times.
func onlyValue(values []string) []byte {
	if len(values) != 1 {
		return nil
	}
	return []byte(values[0])
}
