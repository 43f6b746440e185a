package http1

import "bytes"

// Response is the head of an answer.
type Response struct {
	head
	Status int
	// Reason is what stands behind the status.
	Reason Span
}

// ScanResponse is Scan for an answer, whose lines may end with LF alone.
func ScanResponse(buffer []byte, from int) (end, next int) {
	for from < len(buffer) {
		lf := bytes.IndexByte(buffer[from:], '\n')
		if lf < 0 {
			return 0, from
		}
		if from > 0 && (lf == 0 || lf == 1 && buffer[from] == '\r') {
			return from + lf + 1, from + lf + 1
		}
		from += lf + 1
	}
	return 0, from
}

// Parse reads the head that ends, as ScanResponse found, with the end of the buffer's first end bytes. Folded lines are unfolded in the
// buffer.
func (r *Response) Parse(buffer []byte, end int) error {
	r.reset(buffer)
	r.End = end
	at := lineEnd(buffer, 0, end)
	if err := r.statusLine(trimLine(buffer[:at])); err != nil {
		return err
	}
	for at < end {
		next := lineEnd(buffer, at, end)
		for next < end && (buffer[next] == ' ' || buffer[next] == '\t') {
			for i := next - 1; i > at && (buffer[i] == '\n' || buffer[i] == '\r'); i-- {
				buffer[i] = ' '
			}
			next = lineEnd(buffer, next, end)
		}
		to := at + len(trimLine(buffer[at:next]))
		if to == at { // the empty line
			break
		}
		if len(r.Fields) == maxFields {
			return errTooManyLines
		}
		if !r.field(at, to) {
			return errField
		}
		at = next
		f := &r.Fields[len(r.Fields)-1]
		value := r.Bytes(f.Value)
		switch f.Kind {
		case ContentLength:
			if !r.noteLength(value) {
				return errLength
			}
		case TransferEncoding:
			if !r.noteCoding(value) {
				return errCoding
			}
		case Connection:
			if !r.noteConnection(value) {
				return errOptions
			}
		}
	}
	if r.IsChunked {
		r.HasLength = false // RFC 9112, 6.3: the coding counts
	}
	return nil
}

// lineEnd is where the line that begins at from ends, its end included.
func lineEnd(buffer []byte, from, end int) int {
	return from + bytes.IndexByte(buffer[from:end], '\n') + 1
}

func trimLine(line []byte) []byte {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// statusLine reads the first line, which begins at the buffer's begin.
func (r *Response) statusLine(line []byte) error {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' {
		return errStatus
	}
	r.Minor = int(line[7] - '0')
	r.Status = 0
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return errStatus
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	r.Reason = Span{}
	if len(line) > 12 {
		if line[12] != ' ' || !isValue(line[13:]) {
			return errStatus
		}
		r.Reason = span(13, len(line))
	}
	if r.Status < 100 {
		return errStatus
	}
	return nil
}
