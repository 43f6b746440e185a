package http1

// Chunked follows the framing of a chunked body. The zero value is at the body's beginning.
type Chunked struct {
	state chunkState
	// left is of the chunk's data; while its size is read, the size.
	left   int64
	digits int
	// odd counts the bytes of extensions and trailers, which have a bound.
	odd int
	// KeepsTrailers passes trailers on; otherwise they are skipped, as extensions always are.
	KeepsTrailers bool
}

type chunkState uint8

const (
	chunkSize   chunkState = iota // the digits of the size
	chunkSpace                    // blanks after them
	chunkExt                      // an extension
	chunkSizeLF                   // the LF of the size's line
	chunkData                     // left bytes of data
	chunkDataCR                   // the end of the data
	chunkDataLF
	trailerStart // a trailer, or the empty line that ends the body
	trailerName
	trailerValue
	trailerLF
	chunkLastLF // the LF of the empty line
	chunkDone
)

// maxOdd bounds extensions and trailers of one body.
const maxOdd = 16 << 10

// IsDone says whether the body has ended.
func (c *Chunked) IsDone() bool { return c.state == chunkDone }

// LeftOut stands for what was left out when that has not ended yet, so that another reader takes what follows for the rest of it, and not
// for digits of the size before it.
func (c *Chunked) LeftOut() string {
	switch c.state {
	case chunkSpace:
		return " "
	case chunkExt:
		return ";"
	case trailerName:
		return "X"
	case trailerValue:
		return "X:"
	case trailerLF:
		return "X:\r"
	}
	return ""
}

// Next reads the framing of p, which goes on where the one before stopped: the first keep bytes are passed on as they are, the skip
// bytes behind them are left out. It stops where something was left out, at the body's end, and at the end of p.
func (c *Chunked) Next(p []byte) (keep, skip int, err error) {
	for keep < len(p) && c.state != chunkDone {
		if c.state == chunkData {
			n := int(min(c.left, int64(len(p)-keep)))
			keep += n
			if c.left -= int64(n); c.left == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		for keep+skip < len(p) && c.skips(p[keep+skip]) {
			if !c.step(p[keep+skip]) {
				return 0, 0, errChunk
			}
			skip++
		}
		if skip > 0 {
			return keep, skip, nil
		}
		if !c.step(p[keep]) {
			return 0, 0, errChunk
		}
		keep++
	}
	return keep, 0, nil
}

// skips says whether the next byte is left out.
func (c *Chunked) skips(b byte) bool {
	switch c.state {
	case chunkSize, chunkSpace:
		return b == ';' || b == ' ' || b == '\t'
	case chunkExt:
		return b != '\r'
	case trailerStart:
		return !c.KeepsTrailers && b != '\r'
	case trailerName, trailerValue, trailerLF:
		return !c.KeepsTrailers
	}
	return false
}

// step reads one byte outside of data, and returns false when it should not be there.
func (c *Chunked) step(b byte) bool {
	switch c.state {
	case chunkSize:
		return c.sizeByte(b)
	case chunkSpace:
		return c.afterSize(b)
	case chunkExt:
		if b == '\r' {
			c.state = chunkSizeLF
			return true
		}
		return c.oddByte(b, inValue)
	case chunkSizeLF:
		c.odd -= int(min(int64(c.odd), 16+2*c.left)) // a little beside each chunk is not much, however long the body is
		c.state = chunkData
		if c.left == 0 {
			c.state = trailerStart
		}
		return b == '\n'
	case chunkDataCR:
		c.state = chunkDataLF
		return b == '\r'
	case chunkDataLF:
		c.state, c.digits = chunkSize, 0
		return b == '\n'
	case trailerStart:
		if b == '\r' {
			c.state = chunkLastLF
			return true
		}
		c.state = trailerName
		return c.oddByte(b, inToken)
	case trailerName:
		if b == ':' {
			c.state = trailerValue
			return true
		}
		return c.oddByte(b, inToken)
	case trailerValue:
		if b == '\r' {
			c.state = trailerLF
			return true
		}
		return c.oddByte(b, inValue)
	case trailerLF:
		c.state = trailerStart
		return b == '\n'
	case chunkLastLF:
		c.state = chunkDone
		return b == '\n'
	}
	return false
}

// sizeByte reads a digit of a chunk's size, or what follows the last.
func (c *Chunked) sizeByte(b byte) bool {
	value := hexValue(b)
	if value < 0 {
		return c.digits > 0 && c.afterSize(b)
	}
	c.left = c.left<<4 | int64(value)
	c.digits++
	return c.digits < 16 // so that no size overflows
}

func (c *Chunked) afterSize(b byte) bool {
	switch b {
	case '\r':
		c.state = chunkSizeLF
		return true
	case ';':
		c.state = chunkExt
	default:
		c.state = chunkSpace
		return (b == ' ' || b == '\t') && c.oddByte(b, inValue)
	}
	return true
}

func (c *Chunked) oddByte(b byte, class uint8) bool {
	c.odd++
	return c.odd <= maxOdd && chars[b]&class != 0
}
