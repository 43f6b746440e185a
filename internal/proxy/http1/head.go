package http1

import "bytes"

// Span is a piece of a message, by its place in the buffer.
type Span struct{ From, To uint32 }

// IsEmpty says whether nothing is in it.
func (s Span) IsEmpty() bool { return s.From == s.To }

// Field is one header line.
type Field struct {
	Name, Value Span
	Kind        Kind
}

// head is what requests and answers have in common.
type head struct {
	buffer []byte
	// End is where the body begins.
	End    int
	Fields []Field
	// Minor is the version: 1 for HTTP/1.1, 0 for HTTP/1.0.
	Minor int
	// Length is of the body, as said by Content-Length; meaningless without HasLength.
	Length    int64
	HasLength bool
	// IsChunked says that the transfer coding is chunked, and nothing else.
	IsChunked bool
	// SaysClose, SaysKeepAlive and SaysUpgrade are what Connection asks for; NamesFields says that it names other fields.
	SaysClose, SaysKeepAlive, SaysUpgrade, NamesFields bool
	options                                            int // elements of Connection
}

// Bytes is what is in the span, as long as the buffer holds the head.
func (h *head) Bytes(s Span) []byte { return h.buffer[s.From:s.To] }

// Find is the value of the first field of a kind, empty when there is none.
func (h *head) Find(kind Kind) []byte {
	for i := range h.Fields {
		if h.Fields[i].Kind == kind {
			return h.Bytes(h.Fields[i].Value)
		}
	}
	return nil
}

// FindOnly is the value of the only field of a kind, empty when there is none, or several.
func (h *head) FindOnly(kind Kind) (value []byte) {
	count := 0
	for i := range h.Fields {
		if h.Fields[i].Kind == kind {
			value = h.Bytes(h.Fields[i].Value)
			count++
		}
	}
	if count != 1 {
		return nil
	}
	return value
}

// Moved says that the message lies at the beginning of another buffer now.
func (h *head) Moved(buffer []byte) { h.buffer = buffer }

func (h *head) reset(buffer []byte) {
	*h = head{buffer: buffer, Fields: h.Fields[:0]}
}

// IsHopByHop says whether a field concerns one connection only (RFC 9110, 7.6.1).
func (h *head) IsHopByHop(f *Field) bool {
	return f.Kind >= firstHopByHop || h.NamesFields && h.isNamed(h.Bytes(f.Name))
}

// isNamed says whether Connection names a field.
func (h *head) isNamed(name []byte) bool {
	for i := range h.Fields {
		if f := &h.Fields[i]; f.Kind == Connection && HasToken(h.Bytes(f.Value), name) {
			return true
		}
	}
	return false
}

// HasToken says whether a list of tokens holds one, whatever its case.
func HasToken(list, token []byte) bool {
	for len(list) > 0 {
		var part []byte
		if part, list = nextToken(list); len(part) == len(token) && bytes.EqualFold(part, token) {
			return true
		}
	}
	return false
}

// nextToken cuts the first element off a list.
func nextToken(list []byte) (token, rest []byte) {
	if comma := bytes.IndexByte(list, ','); comma >= 0 {
		list, rest = list[:comma], list[comma+1:]
	}
	return bytes.Trim(list, " \t"), rest
}

// noteConnection reads one Connection field. It returns false when these have more elements than may be.
func (h *head) noteConnection(list []byte) bool {
	for len(list) > 0 {
		var token []byte
		h.options++
		switch token, list = nextToken(list); {
		case len(token) == 0:
		case EqualFold(token, "close"):
			h.SaysClose = true
		case EqualFold(token, "keep-alive"):
			h.SaysKeepAlive = true
		case EqualFold(token, "upgrade"):
			h.SaysUpgrade = true
		default:
			h.NamesFields = true
		}
	}
	return h.options <= maxOptions
}

// noteLength reads one Content-Length field. It returns false when it is no length, or another than before.
func (h *head) noteLength(value []byte) bool {
	n, ok := parseLength(value)
	if !ok || h.HasLength && n != h.Length {
		return false
	}
	h.Length, h.HasLength = n, true
	return true
}

// parseLength reads digits, and nothing but digits.
func parseLength(value []byte) (n int64, ok bool) {
	if len(value) == 0 || len(value) > 18 { // no int64 overflows with 18 digits
		return 0, false
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// noteCoding reads one Transfer-Encoding field. It returns false when it is not chunked alone, or not the first.
func (h *head) noteCoding(value []byte) bool {
	if h.IsChunked || !EqualFold(value, "chunked") {
		return false
	}
	h.IsChunked = true
	return true
}

// field reads a header line without its end, which begins at from. It returns false when it is none.
func (h *head) field(from, to int) bool {
	line := h.buffer[from:to]
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !isToken(line[:colon]) {
		return false
	}
	first, last := colon+1, len(line)
	for first < last && (line[first] == ' ' || line[first] == '\t') {
		first++
	}
	for last > first && (line[last-1] == ' ' || line[last-1] == '\t') {
		last--
	}
	if !isValue(line[first:last]) {
		return false
	}
	h.Fields = append(h.Fields, Field{
		Name: span(from, from+colon), Value: span(from+first, from+last), Kind: kindOf(line[:colon]),
	})
	return true
}

func span(from, to int) Span { return Span{uint32(from), uint32(to)} }
